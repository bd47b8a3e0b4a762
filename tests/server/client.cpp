#include "tests/server/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

namespace cogi::server {

std::string Answer::Field(const std::string& name) const {
  const size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const size_t begin = at + 2 + name.size() + 2;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

Client::Client(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval limit{10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd_);
    fd_ = -1;
  }
}

Client::~Client() {
  if (fd_ >= 0) close(fd_);
}

bool Client::Send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool Client::Fill() {
  char piece[16 << 10];
  const ssize_t got = recv(fd_, piece, sizeof piece, 0);
  if (got <= 0) return false;
  buffer_.append(piece, static_cast<size_t>(got));
  return true;
}

Answer Client::ReadAnswer(bool has_body) {
  Answer answer;
  size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
    if (!Fill()) return answer;
  answer.head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  const size_t space = answer.head.find(' ');
  answer.status = std::atoi(answer.head.c_str() + space + 1);
  const size_t length = static_cast<size_t>(std::atoll(answer.Field("Content-Length").c_str()));
  if (!has_body) return answer;
  if (answer.Field("Transfer-Encoding") == "chunked") {
    if (!TakeChunks(answer.body)) answer.status = 0;
    return answer;
  }
  while (buffer_.size() < length)
    if (!Fill()) {
      answer.status = 0;
      return answer;
    }
  answer.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  return answer;
}

bool Client::TakeChunks(std::string& body) {
  for (;;) {
    size_t end;
    while ((end = buffer_.find("\r\n")) == std::string::npos)
      if (!Fill()) return false;
    const size_t size = std::stoul(buffer_.substr(0, end), nullptr, 16);
    while (buffer_.size() < end + 2 + size + 2)
      if (!Fill()) return false;
    body += buffer_.substr(end + 2, size);
    buffer_.erase(0, end + 2 + size + 2);
    if (size == 0) return true;
  }
}

Answer Client::Ask(const std::string& path, const std::string& method, const std::string& fields,
                   const std::string& body) {
  std::string request = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields;
  if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  if (!Send(request + "\r\n" + body)) return {};
  return ReadAnswer(method != "HEAD");
}

size_t Client::Take(size_t size) {
  std::string bytes(size, '\0');
  const ssize_t got = recv(fd_, bytes.data(), size, 0);
  return got < 0 ? 0 : static_cast<size_t>(got);
}

void Client::Reset() {
  const linger at_once{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd_);
  fd_ = -1;
}

bool Client::AtEnd() {
  char byte;
  return buffer_.empty() && recv(fd_, &byte, 1, 0) == 0;
}

Answer Ask(int port, const std::string& path, const std::string& method, const std::string& fields,
           const std::string& body) {
  Client client(port);
  return client.connected() ? client.Ask(path, method, fields, body) : Answer{};
}

}  // namespace cogi::server
