// The connections of a worker: their list, their number, who has to make room.
#include <algorithm>

#include "server/connection.h"
#include "server/log.h"
#include "server/worker.h"

namespace cogi::server {
namespace {

// When places are wanted, one of so many connections is closed if it rests, at most kIdleClosed at
// a time; and so many of the longest without an answer are looked at for that.
constexpr uint32_t kIdlePart = 8;
constexpr uint32_t kIdleClosed = 32;
constexpr int kIdleLookedAt = 1024;

}  // namespace

void Worker::Link(Connection& connection) {
  connection.prev = nullptr;
  connection.next = first_;
  (first_ == nullptr ? last_ : first_->prev) = &connection;
  first_ = &connection;
}

void Worker::Unlink(Connection& connection) {
  (connection.prev == nullptr ? first_ : connection.prev->next) = connection.next;
  (connection.next == nullptr ? last_ : connection.next->prev) = connection.prev;
}

void Worker::Add(Connection& connection) {
  Link(connection);
  counters_.connections.store(++connections_, std::memory_order_relaxed);
}

void Worker::Remove(Connection& connection) {
  Unlink(connection);
  counters_.connections.store(--connections_, std::memory_order_relaxed);
  if (draining_) {
    StopIfDrained();
  } else if (connections_ + 1 == pool().limits.connections) {
    for (const auto& acceptor : acceptors_) acceptor->PlaceFree();
  }
}

void Worker::Touch(Connection& connection) {
  if (&connection == first_) return;
  Unlink(connection);
  Link(connection);
}

void Worker::CloseLongestIdle() {
  const uint32_t most = std::clamp(connections_ / kIdlePart, 1U, kIdleClosed);
  uint64_t closed = 0;
  int look_at = kIdleLookedAt;
  for (Connection* connection = last_; connection != nullptr && closed < most && look_at > 0;
       connection = connection->prev, --look_at)
    if (connection->EndRest()) ++closed;
  if (closed == 0) return;
  Count(counters_.idle_closed, closed);
  static LogLimiter limiter;
  limiter.Log(Level::kWarning, closed, " connections that rested longest are closed to make room");
}

bool Worker::TakeAddress(const std::string& address) {
  uint32_t& count = addresses_[address];
  if (count >= pool().limits.connections_per_address) return false;
  ++count;
  return true;
}

void Worker::LeaveAddress(const std::string& address) {
  const auto found = addresses_.find(address);
  if (found != addresses_.end() && --found->second == 0) addresses_.erase(found);
}

bool Worker::HasMoreThanItsShare() const {
  if (!shares_listeners()) return false;
  constexpr uint32_t kSlack = 8;
  return connections_ > orders_.scoreboard.MeanConnections() * 5 / 4 + kSlack;
}

}  // namespace cogi::server
