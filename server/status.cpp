#include "server/status.h"

#include <string>
#include <utility>

#include "server/text.h"

namespace cogi::server {
namespace {

// One number of WorkerCounters.
struct Field {
  const char* name;
  bool gauge;  // goes up and down; else it only grows
  uint64_t (*read)(const WorkerCounters& counters);
};

template <auto Member>
uint64_t Read(const WorkerCounters& counters) {
  return static_cast<uint64_t>((counters.*Member).load(std::memory_order_relaxed));
}

constexpr Field kFields[] = {
    {"connections", true, Read<&WorkerCounters::connections>},
    {"running", true, Read<&WorkerCounters::running>},
    {"waiting", true, Read<&WorkerCounters::waiting>},
    {"accepted", false, Read<&WorkerCounters::accepted>},
    {"requests", false, Read<&WorkerCounters::requests>},
    {"refused", false, Read<&WorkerCounters::refused>},
    {"client_errors", false, Read<&WorkerCounters::client_errors>},
    {"server_errors", false, Read<&WorkerCounters::server_errors>},
    {"overloaded", false, Read<&WorkerCounters::overloaded>},
    {"deadlines", false, Read<&WorkerCounters::deadlines>},
    {"clients_gone", false, Read<&WorkerCounters::clients_gone>},
    {"exceptions", false, Read<&WorkerCounters::exceptions>},
    {"accept_failures", false, Read<&WorkerCounters::accept_failures>},
    {"idle_closed", false, Read<&WorkerCounters::idle_closed>},
    {"stalls", false, Read<&WorkerCounters::stalls>},
    {"bytes_sent", false, Read<&WorkerCounters::bytes_sent>},
};

// Some seats of a scoreboard are spare, and nobody has ever sat there.
bool WasEverUsed(const WorkerCounters& counters) {
  return counters.pid.load(std::memory_order_relaxed) != 0 ||
         counters.accepted.load(std::memory_order_relaxed) != 0;
}

class Health final : public cgi::Handler {
 public:
  explicit Health(const ServerView& view) : draining_(view.draining) {}
  void Serve(cgi::Request&, cgi::Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    response.SetHeader("Cache-Control", "no-store");
    if (draining_) response.SetStatus(503);
    response.Write(draining_ ? "draining\n" : "ok\n");
  }

 private:
  const bool& draining_;
};

class Status final : public cgi::Handler {
 public:
  explicit Status(const ServerView& view) : boards_(view.scoreboards) {}
  void Serve(cgi::Request&, cgi::Response& response) override {
    std::string text = "{\"pools\": {";
    const char* separator = "";
    for (const auto& [name, board] : boards_) {
      text += Concat(separator, "\n  \"", name, "\": {");
      AppendPool(text, *board);
      text += "}";
      separator = ",";
    }
    response.SetHeader("Content-Type", "application/json");
    response.SetHeader("Cache-Control", "no-store");
    response.Write(text + "\n}}\n");
  }

 private:
  static void AppendPool(std::string& text, const Scoreboard& board) {
    for (const Field& field : kFields) {
      uint64_t sum = 0;
      for (size_t slot = 0; slot < board.size(); ++slot) sum += field.read(board[slot]);
      text += Concat("\"", field.name, "\": ", sum, ", ");
    }
    text += "\"workers\": [";
    const char* separator = "";
    for (size_t slot = 0; slot < board.size(); ++slot) {
      const pid_t pid = board[slot].pid.load();
      if (pid == 0) continue;
      text += Concat(std::exchange(separator, ","), "\n    {\"pid\": ", pid);
      for (const Field& field : kFields)
        text += Concat(", \"", field.name, "\": ", field.read(board[slot]));
      text += "}";
    }
    text += "]";
  }

  const Scoreboards& boards_;
};

class Metrics final : public cgi::Handler {
 public:
  explicit Metrics(const ServerView& view) : boards_(view.scoreboards) {}
  void Serve(cgi::Request&, cgi::Response& response) override {
    std::string text;
    for (const Field& field : kFields) {
      const std::string name = Concat("cogi_", field.name, field.gauge ? "" : "_total");
      text += Concat("# TYPE ", name, field.gauge ? " gauge\n" : " counter\n");
      for (const auto& [pool, board] : boards_)
        for (size_t slot = 0; slot < board->size(); ++slot)
          if (WasEverUsed((*board)[slot]))
            text += Concat(name, "{pool=\"", pool, "\",worker=\"", slot, "\"} ",
                           field.read((*board)[slot]), "\n");
    }
    response.SetHeader("Content-Type", "text/plain; version=0.0.4");
    response.Write(text);
  }

 private:
  const Scoreboards& boards_;
};

}  // namespace

std::unique_ptr<cgi::Handler> MakeHealth(const ServerView& view) {
  return std::make_unique<Health>(view);
}
std::unique_ptr<cgi::Handler> MakeStatus(const ServerView& view) {
  return std::make_unique<Status>(view);
}
std::unique_ptr<cgi::Handler> MakeMetrics(const ServerView& view) {
  return std::make_unique<Metrics>(view);
}

}  // namespace cogi::server
