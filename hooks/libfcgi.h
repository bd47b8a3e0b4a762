// libfcgi programs in process: what the server gives an accept loop, and what the loop asks of it.
//
// An unmodified program calls FCGX_Accept_r() and its kin, which libcogi.so supplies
// (libfcgi_calls.cpp) in libfcgi's place: nothing of a request comes over a socket. libfcgi
// supplies what is above its public FCGX_Stream: FCGX_PutStr(), FCGI_printf(), fcgi_streambuf. The
// streams are LibfcgiRequest's; their two callbacks are libfcgi_stream.cpp.
//
// An *instance* is one run of such a program. The calls of its coroutine arrive on the scheduler's
// thread; those of threads that it has started on these threads, at any time.
#ifndef COGI_HOOKS_LIBFCGI_H_
#define COGI_HOOKS_LIBFCGI_H_

#include <fcgiapp.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "coroutine/export.h"
#include "hooks/program.h"

namespace cogi::hooks {

// LibfcgiRequest is one request as an accept loop holds it, from Accept() to Finish(). One thread
// or coroutine uses it at a time.
class COGI_API LibfcgiRequest {
 public:
  // Bytes of the buffers; libfcgi's own sizes. A buffer is made at the first byte, and kept when
  // the object is used again.
  static constexpr size_t kBufferSize = 8192;
  static constexpr size_t kErrorBufferSize = 512;

  struct Stream {
    FCGX_Stream base;  // the first member: the program has its address
    LibfcgiRequest* request;
    std::unique_ptr<unsigned char[]> buffer;
  };

  LibfcgiRequest() = default;
  virtual ~LibfcgiRequest() = default;
  LibfcgiRequest(const LibfcgiRequest&) = delete;
  LibfcgiRequest& operator=(const LibfcgiRequest&) = delete;

  // StreamOf() is the object behind `stream`, or null if it is libfcgi's own (FCGX_CreateWriter).
  [[nodiscard]] static Stream* StreamOf(FCGX_Stream* stream) noexcept;

  // Open() makes the streams as new.
  void Open() noexcept;

  // Pending() is what the program has written to `out` or `err` and nobody has taken yet.
  [[nodiscard]] static std::string_view Pending(const Stream& stream) noexcept;

  static constexpr int kResponder = 1;
  static constexpr int kAuthorizer = 2;
  static constexpr int kFilter = 3;

  Stream in{};
  Stream out{};
  Stream err{};
  int role = kResponder;
  char** environment = nullptr;  // ended by null
  int exit_status = 0;           // FCGX_SetExitStatus()
  bool in_data = false;          // after FCGX_StartFilterData()

  // The server's part. Each may yield; on a thread it blocks the thread.
  //
  // Read() reads up to `size` bytes of the body, or of the filter's data if in_data: what is left
  // of the body is dropped then. How many, 0 at the end, -1 with errno if the client broke off.
  virtual ssize_t Read(void* buffer, size_t size) = 0;
  // Write() takes output, and sends what there is with `flush`. False: the client has gone.
  virtual bool Write(std::string_view bytes, bool flush) = 0;
  // WriteError() takes what is meant for the error log.
  virtual void WriteError(std::string_view bytes) = 0;
  // Finish() completes the request with what `out` and `err` still hold, or, with `broken`, leaves
  // it incomplete. The object must not be used after it.
  virtual void Finish(bool broken) = 0;
};

// LibfcgiHost is an instance as its accept calls see it. It outlives every thread of the instance.
class COGI_API LibfcgiHost : public std::enable_shared_from_this<LibfcgiHost> {
 public:
  virtual ~LibfcgiHost();
  LibfcgiHost(const LibfcgiHost&) = delete;
  LibfcgiHost& operator=(const LibfcgiHost&) = delete;

  // Accept() waits for the next request; null when there will be none, which is when the server
  // drains or this instance is one too many; null with `*interrupted` if a signal of the program
  // ended the wait. Yields; on a thread it blocks the thread.
  virtual LibfcgiRequest* Accept(bool* interrupted) = 0;
  // StartsThread() is told before the program starts its first thread.
  virtual void StartsThread() = 0;
  // ThreadEnds() is told, on a thread of the program, that it has called exit() or abort(): the
  // instance takes no further request, and ends so when the other threads have finished theirs.
  virtual void ThreadEnds(ProgramEnd end, int status) = 0;
  // MainEnds() is told when main() has returned while there are threads, or has called exit()
  // (`by_exit`: what it was answering is lost then). The instance takes no further request;
  // returns when those that threads have are finished. In the program's coroutine. Yields.
  virtual void MainEnds(int status, bool by_exit) = 0;
  // AwaitEnd() waits until the instance shall end: what pthread_exit() in main() means while
  // threads go on. False if a signal of the program ended the wait. In the program's coroutine.
  // Yields.
  virtual bool AwaitEnd() = 0;

  // What the calls of libfcgi_calls.cpp keep for the instance: the request of FCGX_Accept(), and
  // which FCGX_Requests are open. With threads that is not known: one may accept what another
  // finishes.
  FCGX_Request single{};
  bool has_threads = false;
  std::vector<FCGX_Request*> open;
  bool shutdown = false;  // FCGX_ShutdownPending()

 protected:
  LibfcgiHost() = default;
};

// The instance that the calling thread belongs to, if a program has started it; else null.
extern constinit thread_local LibfcgiHost* t_libfcgi_host
    __attribute__((tls_model("initial-exec")));

// CurrentLibfcgiHost() is the instance that the caller belongs to, as its coroutine or as one of
// its threads; null: none.
[[nodiscard]] LibfcgiHost* CurrentLibfcgiHost() noexcept;

// EndThread() is exit() and its kin on a thread of a libfcgi program, and does not return; on any
// other thread it does.
void EndThread(ProgramEnd end, int status) noexcept;

// FinishLibfcgi() completes what the program has left open when it exits, as libfcgi's exit handler
// does. In the program's coroutine. May yield.
void FinishLibfcgi(LibfcgiHost& host) noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_LIBFCGI_H_
