#include "cgi/fastcgi_dispatcher.h"

#include <algorithm>

namespace cogi::cgi {

void FastCgiDispatcher::Reset(Owner& owner, const Limits& limits, const fcgi::Values& values,
                              size_t management) {
  owner_ = &owner;
  receiver_.Reset(limits, values, management);
  open_.clear();
  replies_.clear();
}

void FastCgiDispatcher::End(FastCgiExchange& exchange) {
  receiver_.Forget(exchange.id());
  std::erase(open_, &exchange);
}

// The receiver speaks only of requests that are open.
FastCgiExchange& FastCgiDispatcher::Of(uint16_t id) {
  return **std::find_if(open_.begin(), open_.end(),
                        [id](const FastCgiExchange* each) { return each->id() == id; });
}

fcgi::ProtocolStatus FastCgiDispatcher::OnBegin(uint16_t id, fcgi::Role role,
                                                bool keep_connection) {
  fcgi::ProtocolStatus why = fcgi::ProtocolStatus::kOverloaded;
  FastCgiExchange* exchange = owner_->OnBegin(id, role, keep_connection, &why);
  if (exchange == nullptr) return why;
  open_.push_back(exchange);
  return fcgi::ProtocolStatus::kRequestComplete;
}

void FastCgiDispatcher::OnParam(uint16_t id, std::string_view name, std::string_view value) {
  // What still comes of a request that was given up meanwhile is dropped: it may be in its answer.
  if (FastCgiExchange& exchange = Of(id); !exchange.ready()) exchange.TakeParam(name, value);
}

void FastCgiDispatcher::OnParamsEnd(uint16_t id) {
  FastCgiExchange& exchange = Of(id);
  if (exchange.ready()) return;  // by an abort
  exchange.TakeParamsEnd();
  owner_->OnReady(exchange);
}

void FastCgiDispatcher::OnStdin(uint16_t id, std::string_view bytes) {
  FastCgiExchange& exchange = Of(id);
  exchange.TakeStdin(bytes);
  owner_->OnInput(exchange);
}

void FastCgiDispatcher::OnStdinEnd(uint16_t id) {
  FastCgiExchange& exchange = Of(id);
  exchange.TakeStdinEnd();
  owner_->OnInput(exchange);
}

void FastCgiDispatcher::OnData(uint16_t id, std::string_view bytes) {
  FastCgiExchange& exchange = Of(id);
  exchange.TakeData(bytes);
  owner_->OnInput(exchange);
}

void FastCgiDispatcher::OnDataEnd(uint16_t id) {
  FastCgiExchange& exchange = Of(id);
  exchange.TakeDataEnd();
  owner_->OnInput(exchange);
}

void FastCgiDispatcher::OnAbort(uint16_t id) {
  FastCgiExchange& exchange = Of(id);
  const bool ready = exchange.ready();
  exchange.TakeAbort();
  if (!ready) owner_->OnReady(exchange);
  owner_->OnAbort(exchange);
}

}  // namespace cogi::cgi
