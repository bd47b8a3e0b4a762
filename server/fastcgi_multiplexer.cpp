#include "server/fastcgi_multiplexer.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "cgi/fastcgi_dispatcher.h"
#include "cgi/fcgi_encoder.h"
#include "cgi/input_buffer.h"
#include "cgi/linger.h"
#include "cgi/pool.h"

namespace cogi::server {
namespace {

using cgi::FastCgiExchange;
using cgi::fcgi::ProtocolStatus;

// Bodies are read in larger pieces than parameters.
constexpr size_t kBodyBuffer = 16 * 1024;

// What a web server that does not look at protocolStatus shows its client (nginx).
constexpr std::string_view kOverloaded =
    "Status: 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n\r\n"
    "503 Service Unavailable\n";

void AppendOverloaded(std::string& records, uint16_t id) {
  cgi::fcgi::AppendStream(records, cgi::fcgi::Type::kStdout, id, kOverloaded);
  cgi::fcgi::AppendStreamEnd(records, cgi::fcgi::Type::kStdout, id);
}

}  // namespace

// A request. The reader finds it by its exchange, which it is.
struct FastCgiMultiplexer::Task : FastCgiExchange {
  std::unique_ptr<cgi::Events> events;
  coroutine::Coroutine* coroutine = nullptr;  // null: the parameters are not complete
  coroutine::WaitList input;                  // it waits for its body
  cgi::Deadline begun{};
  bool cancelled = false;  // because nobody waits for it
  bool done = false;       // its handler has returned
  bool over = false;       // it has ended, while the reader was taking a record
  bool goes_on = false;    // over: what Ended() is to be told
};

// The connection as its requests write to it: whole records, one writer at a time.
class FastCgiMultiplexer::SharedStream final : public cgi::ByteStream {
 public:
  void Attach(FastCgiMultiplexer& owner) {
    owner_ = &owner;
    broken_ = false;
  }
  ssize_t Read(void* buffer, size_t size) override { return owner_->stream_.Read(buffer, size); }
  bool Write(iovec* pieces, int count) override;
  bool SendFile(int, off_t, size_t) override {
    errno = ENOTSUP;  // files are sent in records
    return false;
  }
  bool AwaitInput() override { return owner_->stream_.AwaitInput(); }
  void SetReadDeadline(cgi::Deadline) override {}
  void SetWriteTimeout(std::chrono::milliseconds) override {}

 private:
  FastCgiMultiplexer* owner_ = nullptr;
  coroutine::Mutex mutex_;
  bool broken_ = false;  // something of a record may be missing
};

// What a connection has while it does not rest.
struct FastCgiMultiplexer::Busy final : cgi::FastCgiDispatcher::Owner, FastCgiExchange::Feeder {
  FastCgiMultiplexer* owner = nullptr;
  cgi::InputBuffer input;
  cgi::FastCgiDispatcher dispatcher;
  SharedStream out;
  std::vector<cgi::Pool<Task>::Pointer> tasks;
  std::vector<Task*> refused;                  // for which there was no coroutine
  coroutine::WaitList room;                    // the reader waits until a body is taken
  coroutine::WaitList ended;                   // the reader waits until all requests have ended
  std::optional<cgi::Deadline> partial_since;  // of a record that belongs to no request
  bool taking = false;                         // the reader is in the middle of a record

  void Attach(FastCgiMultiplexer& multiplexer);
  [[nodiscard]] const cgi::fcgi::FcgiReceiver& receiver() const { return dispatcher.receiver(); }

  FastCgiExchange* OnBegin(uint16_t id, cgi::fcgi::Role role, bool keep_connection,
                           ProtocolStatus* why) override;
  void OnReady(FastCgiExchange& exchange) override;
  void OnInput(FastCgiExchange& exchange) override;
  void OnAbort(FastCgiExchange& exchange) override;
  bool AwaitInput(FastCgiExchange& exchange, cgi::Deadline deadline) override;
  void Drained(FastCgiExchange&) override { room.WakeAll(); }
  void HandlerDone(FastCgiExchange& exchange) override;
};

// A write that is cut off leaves half a record behind, after which nobody can say anything. So one
// that was begun is ended, whoever is cancelled, as long as others depend on the connection; the
// send timeout bounds it.
bool FastCgiMultiplexer::SharedStream::Write(iovec* pieces, int count) {
  const std::lock_guard lock(mutex_);
  if (broken_) {
    errno = EPIPE;
    return false;
  }
  std::optional<coroutine::ShieldScope> shield;
  if (owner_->open() > 1) shield.emplace();
  broken_ = true;  // also if this coroutine is unwound meanwhile
  if (!owner_->stream_.Write(pieces, count)) return false;
  broken_ = false;
  return true;
}

void FastCgiMultiplexer::Busy::Attach(FastCgiMultiplexer& multiplexer) {
  owner = &multiplexer;
  input.Clear();
  out.Attach(multiplexer);
  tasks.clear();
  refused.clear();
  partial_since.reset();
  taking = false;
  dispatcher.Reset(*this, multiplexer.limits_, multiplexer.values_, multiplexer.management_);
}

FastCgiExchange* FastCgiMultiplexer::Busy::OnBegin(uint16_t id, cgi::fcgi::Role role,
                                                   bool keep_connection, ProtocolStatus* why) {
  *why = ProtocolStatus::kOverloaded;
  if (owner->closing_) return nullptr;
  if (tasks.size() >= owner->values_.max_requests) {
    if (!owner->values_.multiplexes) *why = ProtocolStatus::kCannotMultiplex;
    return nullptr;
  }
  std::unique_ptr<cgi::Events> events = owner->host_.StartRequest();
  if (events == nullptr) {
    AppendOverloaded(dispatcher.replies(), id);
    return nullptr;
  }
  cgi::Pool<Task>::Pointer task = cgi::Pool<Task>::Take();
  task->Begin(*this, owner->limits_, id, role, keep_connection);
  task->events = std::move(events);
  task->coroutine = nullptr;
  task->cancelled = task->done = task->over = false;
  task->begun = coroutine::CoarseNow();
  tasks.push_back(std::move(task));
  return tasks.back().get();
}

void FastCgiMultiplexer::Busy::OnReady(FastCgiExchange& exchange) {
  auto& task = static_cast<Task&>(exchange);
  try {
    task.coroutine = owner->host_.Spawn([mux = owner, &task] { mux->Answer(task); });
  } catch (const std::system_error&) {
    refused.push_back(&task);
  }
}

void FastCgiMultiplexer::Busy::OnInput(FastCgiExchange& exchange) {
  static_cast<Task&>(exchange).input.WakeAll();
}

void FastCgiMultiplexer::Busy::OnAbort(FastCgiExchange& exchange) {
  auto& task = static_cast<Task&>(exchange);
  task.input.WakeAll();
  if (task.coroutine == nullptr || task.done) return;
  task.cancelled = true;
  coroutine::Cancel(*task.coroutine);
}

bool FastCgiMultiplexer::Busy::AwaitInput(FastCgiExchange& exchange, cgi::Deadline deadline) {
  auto& task = static_cast<Task&>(exchange);
  // Not always the task's own coroutine: a program may read its body on a stack of its own.
  coroutine::Coroutine* const reader = coroutine::Current();
  coroutine::WaitNode& node = coroutine::WaitNodeOf(*reader);
  node.coroutine = reader;
  task.input.Add(node);
  switch (coroutine::Park(coroutine::WaitKind::kChannel, reinterpret_cast<uintptr_t>(&task.input),
                          deadline)) {
    case coroutine::WakeReason::kTimeout:
      errno = ETIMEDOUT;
      return false;
    case coroutine::WakeReason::kCancelled:
      errno = ECANCELED;
      return false;
    default:
      return true;
  }
}

// The cancel was for the handler; what is left to say needs the connection.
void FastCgiMultiplexer::Busy::HandlerDone(FastCgiExchange& exchange) {
  auto& task = static_cast<Task&>(exchange);
  task.done = true;
  if (task.cancelled) coroutine::ClearCancel(*task.coroutine);
}

FastCgiMultiplexer::FastCgiMultiplexer(cgi::ByteStream& stream, const cgi::Limits& limits,
                                       const cgi::ConnectionInfo& info,
                                       const cgi::fcgi::Values& values, Host& host)
    : stream_(stream), limits_(limits), info_(info), host_(host), values_(values) {}

FastCgiMultiplexer::~FastCgiMultiplexer() = default;

size_t FastCgiMultiplexer::open() const { return busy_ == nullptr ? 0 : busy_->tasks.size(); }

void FastCgiMultiplexer::ForEachRequest(
    const std::function<void(const cgi::Events&)>& visit) const {
  if (busy_ == nullptr) return;
  for (const auto& task : busy_->tasks)
    if (task->coroutine != nullptr) visit(*task->events);
}

void FastCgiMultiplexer::Serve(cgi::Handler& handler) {
  handler_ = &handler;
  reader_ = coroutine::Current();
  rested_ = coroutine::Clock::now();
  struct Leave {
    FastCgiMultiplexer& multiplexer;
    ~Leave() { multiplexer.resting_ = false; }  // also if it is unwound before its requests are
  } const leave{*this};
  stream_.SetWriteTimeout(limits_.send_idle);
  while (Rest() && ReadOnce()) {
  }
  closing_ = true;
  AwaitTasks();
  if (!lingers_) return;
  // A web server whose write of the body fails may not look at the answer.
  cgi::InputBuffer rest;
  cgi::Linger(stream_, rest, limits_.body, limits_.linger_time);
}

// Gives back what an idle connection does not need.
void FastCgiMultiplexer::Tidy() {
  if (busy_ == nullptr || open() > 0 || !busy_->input.empty() || !busy_->receiver().idle()) return;
  management_ = static_cast<uint32_t>(busy_->receiver().management());
  busy_.reset();
}

// The next byte is due when the parameters of a request are, or after the keep-alive time if none
// is open.
cgi::Deadline FastCgiMultiplexer::ReadDeadline() const {
  cgi::Deadline deadline = open() == 0 ? rested_ + limits_.keep_alive : coroutine::kNoDeadline;
  if (busy_ == nullptr) return deadline;
  if (busy_->partial_since) deadline = *busy_->partial_since + limits_.header_time;
  for (const auto& task : busy_->tasks)
    if (task->coroutine == nullptr)
      deadline = std::min(deadline, task->begun + limits_.header_time);
  return deadline;
}

// Waits until something has come. False: the connection ends. Not inlined, so that nothing of a
// request's work lies in the frames of a resting connection.
[[gnu::noinline]] bool FastCgiMultiplexer::Rest() {
  for (;;) {
    Tidy();
    if (closing_ && open() == 0) return false;
    stream_.SetReadDeadline(ReadDeadline());
    resting_ = true;
    const bool ready = stream_.AwaitInput();
    resting_ = false;
    if (ready) return true;
    const int error = errno;
    if (coroutine::Cancelled(*reader_)) {
      coroutine::ClearCancel(*reader_);  // somebody pokes: look again
      continue;
    }
    if (error != ETIMEDOUT) {
      // Told to end, or to leave for another worker, at rest. Until it rests, it reads on.
      leaving_ = busy_ != nullptr;
      return leaving_;
    }
    if (Timeout()) return false;
  }
}

// Whether the connection ends for it.
bool FastCgiMultiplexer::Timeout() {
  if (ReadDeadline() > coroutine::Clock::now()) return false;
  if (open() == 0 && (busy_ == nullptr || !busy_->partial_since)) return true;
  host_.RefusedConnection({0, "fcgi_params_timeout", "the parameters did not come in time"});
  RefuseUnready(true);
  return true;
}

// Reads and uses what has come. False: nothing more can be read.
[[gnu::noinline]] bool FastCgiMultiplexer::ReadOnce() {
  if (busy_ == nullptr) {
    busy_ = cgi::Pool<Busy>::Take();
    busy_->Attach(*this);
  }
  cgi::InputBuffer& input = busy_->input;
  input.Rewind(0);
  input.Reserve(open() == 0 ? 1 : kBodyBuffer);
  resting_ = leaving_;  // what it waits for may be the end of the last request
  const ssize_t got = input.Fill(stream_);
  resting_ = false;
  if (got == 0) return PeerEnded();
  if (got < 0) {
    if (coroutine::Cancelled(*reader_)) {
      coroutine::ClearCancel(*reader_);
      return true;
    }
    return errno == ETIMEDOUT ? !Timeout() : PeerEnded();
  }
  if (!Dispatch()) return BadRecord();
  AwaitRoom();
  return true;
}

// Gives bytes to the requests, up to the next event. A body that goes to a file may have to wait
// for the disk. What ends meanwhile is removed after it: its file is in use.
void FastCgiMultiplexer::Take() {
  struct Taking {
    FastCgiMultiplexer& multiplexer;
    explicit Taking(FastCgiMultiplexer& owner) : multiplexer(owner) { owner.busy_->taking = true; }
    ~Taking() {
      multiplexer.busy_->taking = false;
      multiplexer.RemoveOver();
    }
  } const taking{*this};
  busy_->input.Consume(busy_->dispatcher.Push(busy_->input.bytes()));
}

void FastCgiMultiplexer::RemoveOver() {
  auto& tasks = busy_->tasks;
  for (size_t i = 0; i < tasks.size();) {
    if (tasks[i]->over)
      Ended(*tasks[i], tasks[i]->goes_on);
    else
      ++i;
  }
}

// False: a record is bad, or the peer does not take what it asked for.
bool FastCgiMultiplexer::Dispatch() {
  cgi::InputBuffer& input = busy_->input;
  while (!input.empty() && busy_->receiver().error() == nullptr) {
    Take();
    RefuseTasks();
    if (!SendReplies()) return false;
  }
  if (open() > 0 || busy_->receiver().idle()) {
    busy_->partial_since.reset();
  } else if (!busy_->partial_since) {
    busy_->partial_since = coroutine::Clock::now();
  }
  return busy_->receiver().error() == nullptr;
}

bool FastCgiMultiplexer::SendReplies() {
  std::string& replies = busy_->dispatcher.replies();
  if (replies.empty()) return true;
  // Moved out: the write may yield.
  std::string records = std::exchange(replies, std::string());
  iovec piece{records.data(), records.size()};
  return busy_->out.Write(&piece, 1);
}

void FastCgiMultiplexer::RefuseTasks() {
  for (Task* task : std::exchange(busy_->refused, {})) {
    AppendOverloaded(busy_->dispatcher.replies(), task->id());
    cgi::fcgi::AppendEndRequest(busy_->dispatcher.replies(), task->id(), 0,
                                ProtocolStatus::kOverloaded);
    Remove(*task);
  }
}

// While a single request is open, its body is read no faster than it is taken.
void FastCgiMultiplexer::AwaitRoom() {
  while (open() == 1 && !busy_->tasks.front()->keeps_all() &&
         busy_->tasks.front()->queued() + kBodyBuffer > limits_.body_memory &&
         busy_->tasks.front()->queued() > 0) {
    coroutine::WaitNode& node = coroutine::WaitNodeOf(*reader_);
    node.coroutine = reader_;
    busy_->room.Add(node);
    if (coroutine::Park(coroutine::WaitKind::kChannel, reinterpret_cast<uintptr_t>(&busy_->room)) ==
        coroutine::WakeReason::kCancelled) {
      coroutine::ClearCancel(*reader_);
      return;
    }
  }
}

// Ends the requests whose parameters will not be complete.
void FastCgiMultiplexer::RefuseUnready(bool answer) {
  closing_ = true;
  if (busy_ == nullptr) return;
  std::vector<Task*> unready;
  for (const auto& task : busy_->tasks)
    if (task->coroutine == nullptr) unready.push_back(task.get());
  for (Task* task : unready) {
    if (answer)
      cgi::fcgi::AppendEndRequest(busy_->dispatcher.replies(), task->id(), 1,
                                  ProtocolStatus::kRequestComplete);
    Remove(*task);
  }
  static_cast<void>(SendReplies());
}

bool FastCgiMultiplexer::PeerEnded() {
  const bool half = std::any_of(busy_->tasks.begin(), busy_->tasks.end(),
                                [](const auto& task) { return task->coroutine == nullptr; }) ||
                    (open() == 0 && !busy_->receiver().idle());
  if (half)
    host_.RefusedConnection(
        {0, "fcgi_truncated", "the peer ended in the middle of a request or record"});
  RefuseUnready(false);
  const bool gone = host_.PeerHasGone();
  for (const auto& task : busy_->tasks) {
    task->Break(FastCgiExchange::BodyFailure::kGone);
    task->input.WakeAll();
    if (!gone || task->done) continue;
    task->cancelled = true;
    coroutine::Cancel(*task->coroutine);
  }
  return false;
}

bool FastCgiMultiplexer::BadRecord() {
  const cgi::fcgi::FcgiReceiver& receiver = busy_->receiver();
  if (receiver.error() == nullptr) return PeerEnded();
  // A request whose body is still due is told by its own answer.
  bool told = false;
  for (const auto& task : busy_->tasks) {
    if (task->coroutine == nullptr) continue;
    told = told || !task->stdin_done();
    task->Break(FastCgiExchange::BodyFailure::kBad, receiver.code(), receiver.error());
    task->input.WakeAll();
  }
  if (!told) host_.RefusedConnection({0, receiver.code(), receiver.error()});
  RefuseUnready(true);
  return false;
}

// Whatever comes now is not read any more.
void FastCgiMultiplexer::AwaitTasks() {
  if (busy_ == nullptr) return;
  while (open() > 0) {
    coroutine::WaitNode& node = coroutine::WaitNodeOf(*reader_);
    node.coroutine = reader_;
    busy_->ended.Add(node);
    if (coroutine::Park(coroutine::WaitKind::kJoin, open()) == coroutine::WakeReason::kCancelled)
      coroutine::ClearCancel(*reader_);
  }
  busy_.reset();
}

// Makes the reader look again.
void FastCgiMultiplexer::Poke() {
  if (resting_) coroutine::Cancel(*reader_);
  busy_->ended.WakeAll();
}

void FastCgiMultiplexer::Answer(Task& task) {
  struct End {
    FastCgiMultiplexer& multiplexer;
    Task& task;
    bool goes_on = false;
    ~End() { multiplexer.Ended(task, goes_on); }
  } end{*this, task};
  end.goes_on = task.Answer(*handler_, busy_->out, info_, *task.events);
}

void FastCgiMultiplexer::Ended(Task& task, bool goes_on) {
  if (busy_->taking) {
    task.done = task.over = true;
    task.goes_on = goes_on;
    return;
  }
  if (!goes_on || !task.keeps_connection()) {
    closing_ = true;
    lingers_ = lingers_ || (goes_on && !task.stdin_done() && !task.aborted());
  }
  Remove(task);
  busy_->room.WakeAll();
  if (open() > 0) return;
  rested_ = coroutine::CoarseNow();
  if (host_.EndsAfterAnswer()) closing_ = true;
  if (closing_ || leaving_) {
    Poke();
  } else if (resting_) {
    Tidy();
  }
}

void FastCgiMultiplexer::Remove(Task& task) {
  busy_->dispatcher.End(task);
  task.Release();
  task.events.reset();
  const auto found = std::find_if(busy_->tasks.begin(), busy_->tasks.end(),
                                  [&](const auto& each) { return each.get() == &task; });
  busy_->tasks.erase(found);
}

}  // namespace cogi::server
