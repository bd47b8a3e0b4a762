// libfcgi's functions that touch the wire, for the programs that cogi runs: symbol interposition
// puts them before libfcgi's own, also for libfcgi's calls of itself. Outside such a program (a
// process that has loaded libcogi.so for another reason) libfcgi's own are called.
//
// Public contract: fcgiapp.h. Different here:
// - FCGX_Accept_r() returns -1 only when the server drains or wants fewer instances of the program.
// - FCGX_OpenSocket() gives a socket that listens nowhere; the server's listeners are the door.
// - FCGX_FPrintF() and FCGI_printf() know all formats of printf(3); libfcgi's own lack %zu, %jd and
//   others.
#include <dlfcn.h>
#include <fcgiapp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "hooks/libfcgi.h"
#include "hooks/program.h"

namespace cogi::hooks {

LibfcgiHost::~LibfcgiHost() = default;

LibfcgiHost* CurrentLibfcgiHost() noexcept {
  if (t_libfcgi_host != nullptr) return t_libfcgi_host;  // a thread of a program
  const Program* program = Program::Current();
  return program == nullptr ? nullptr : program->libfcgi();
}

namespace {

LibfcgiRequest* OpenRequest(const FCGX_Request* request) noexcept {
  return reinterpret_cast<LibfcgiRequest*>(request->paramsPtr);
}

// For the program's exit.
void Remember(LibfcgiHost& host, FCGX_Request* request) {
  if (host.has_threads) return;
  const ServerScope scope;
  host.open.push_back(request);
}

void Forget(LibfcgiHost& host, const FCGX_Request* request) noexcept {
  if (!host.has_threads) std::erase(host.open, request);
}

void Fill(FCGX_Request* request, LibfcgiRequest* accepted) noexcept {
  accepted->Open();
  request->requestId = 1;
  request->role = accepted->role;
  request->in = &accepted->in.base;
  request->out = &accepted->out.base;
  request->err = &accepted->err.base;
  request->envp = accepted->environment;
  request->paramsPtr = reinterpret_cast<struct Params*>(accepted);
  request->isBeginProcessed = 1;
  request->keepConnection = 1;
  request->nWriters = 2;
}

void Clear(FCGX_Request* request) noexcept {
  request->in = request->out = request->err = nullptr;
  request->envp = nullptr;
  request->paramsPtr = nullptr;
  request->isBeginProcessed = 0;
  request->nWriters = 0;
}

void End(LibfcgiHost& host, FCGX_Request* request, bool broken) noexcept {
  LibfcgiRequest* open = OpenRequest(request);
  if (open == nullptr) return;
  Forget(host, request);
  Clear(request);
  const ServerScope scope;
  open->Finish(broken);
}

int AcceptInto(LibfcgiHost& host, FCGX_Request* request) {
  End(host, request, false);
  while (!host.shutdown) {
    bool interrupted = false;
    LibfcgiRequest* accepted = host.Accept(&interrupted);
    if (accepted != nullptr) {
      Fill(request, accepted);
      Remember(host, request);
    }
    if (t_interrupted) AfterInterruption();  // may not return
    if (accepted != nullptr) return 0;
    if (!interrupted) break;
    if ((request->flags & FCGI_FAIL_ACCEPT_ON_INTR) != 0) return -EINTR;
  }
  return -1;
}

// libfcgi's own function, or null: the process has not loaded it for everybody.
template <class Function>
Function* Next(const char* name) noexcept {
  Function* function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
  return function;
}

// As FCGX_PutStr(), which this library is not linked to.
int Put(const char* text, int size, FCGX_Stream* stream) {
  for (int left = size;;) {
    const int room = std::min(left, static_cast<int>(stream->stop - stream->wrNext));
    if (room > 0) std::memcpy(stream->wrNext, text, static_cast<size_t>(room));
    stream->wrNext += room;
    text += room;
    left -= room;
    if (left == 0) return size;
    if (stream->isClosed != 0 || stream->isReader != 0) return -1;
    stream->emptyBuffProc(stream, 0);
  }
}

}  // namespace

void FinishLibfcgi(LibfcgiHost& host) noexcept {
  while (!host.open.empty()) End(host, host.open.back(), false);
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

// What follows outside of a program.
#define COGI_NEXT(otherwise, name, ...)                                     \
  do {                                                                      \
    if (auto* next = Next<decltype(name)>(#name)) return next(__VA_ARGS__); \
    return otherwise;                                                       \
  } while (false)

extern "C" {

COGI_API int FCGX_IsCGI() {
  if (CurrentLibfcgiHost() != nullptr) return 0;
  if (Program::Current() != nullptr) return 1;
  COGI_NEXT(1, FCGX_IsCGI);
}

COGI_API int FCGX_Init() {
  if (CurrentLibfcgiHost() != nullptr) return 0;
  COGI_NEXT(-1, FCGX_Init);
}

COGI_API int FCGX_OpenSocket(const char* path, int backlog) {
  // A descriptor that the program may close, and that is no request's.
  if (CurrentLibfcgiHost() != nullptr) return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  COGI_NEXT(-1, FCGX_OpenSocket, path, backlog);
}

COGI_API int FCGX_InitRequest(FCGX_Request* request, int socket, int flags) {
  if (CurrentLibfcgiHost() == nullptr) COGI_NEXT(-1, FCGX_InitRequest, request, socket, flags);
  *request = {};
  request->listen_sock = socket;
  request->flags = flags;
  request->ipcFd = -1;
  return 0;
}

COGI_API int FCGX_Accept_r(FCGX_Request* request) {
  LibfcgiHost* host = CurrentLibfcgiHost();
  if (host != nullptr) return AcceptInto(*host, request);
  COGI_NEXT(-1, FCGX_Accept_r, request);
}

COGI_API void FCGX_Finish_r(FCGX_Request* request) {
  LibfcgiHost* host = CurrentLibfcgiHost();
  if (host == nullptr) COGI_NEXT(void(), FCGX_Finish_r, request);
  if (request != nullptr) End(*host, request, false);
}

COGI_API void FCGX_Free(FCGX_Request* request, int close) {
  LibfcgiHost* host = CurrentLibfcgiHost();
  if (host == nullptr) COGI_NEXT(void(), FCGX_Free, request, close);
  if (request != nullptr) End(*host, request, true);
}

COGI_API int FCGX_Accept(FCGX_Stream** in, FCGX_Stream** out, FCGX_Stream** err,
                         FCGX_ParamArray* envp) {
  LibfcgiHost* host = CurrentLibfcgiHost();
  if (host == nullptr) COGI_NEXT(-1, FCGX_Accept, in, out, err, envp);
  const int result = AcceptInto(*host, &host->single);
  *in = host->single.in;
  *out = host->single.out;
  *err = host->single.err;
  *envp = host->single.envp;
  return result;
}

COGI_API void FCGX_Finish() {
  LibfcgiHost* host = CurrentLibfcgiHost();
  if (host == nullptr) COGI_NEXT(void(), FCGX_Finish);
  End(*host, &host->single, false);
}

COGI_API void FCGX_ShutdownPending() {
  LibfcgiHost* host = CurrentLibfcgiHost();
  if (host == nullptr) COGI_NEXT(void(), FCGX_ShutdownPending);
  host->shutdown = true;
}

COGI_API int FCGX_StartFilterData(FCGX_Stream* stream) {
  LibfcgiRequest::Stream* own = LibfcgiRequest::StreamOf(stream);
  if (own == nullptr) COGI_NEXT(-1, FCGX_StartFilterData, stream);
  LibfcgiRequest& request = *own->request;
  if (own != &request.in || request.role != LibfcgiRequest::kFilter || request.in_data) {
    stream->FCGI_errno = FCGX_CALL_SEQ_ERROR;
    return -1;
  }
  request.in_data = true;
  stream->rdNext = stream->wrNext = stream->stop = stream->stopUnget = nullptr;
  stream->isClosed = stream->wasFCloseCalled = 0;
  return 0;
}

COGI_API void FCGX_SetExitStatus(int status, FCGX_Stream* stream) {
  LibfcgiRequest::Stream* own = LibfcgiRequest::StreamOf(stream);
  if (own == nullptr) COGI_NEXT(void(), FCGX_SetExitStatus, status, stream);
  own->request->exit_status = status;
}

// The request's streams live as long as the request.
COGI_API void FCGX_FreeStream(FCGX_Stream** stream) {
  if (*stream == nullptr) return;
  if (LibfcgiRequest::StreamOf(*stream) == nullptr) COGI_NEXT(void(), FCGX_FreeStream, stream);
  *stream = nullptr;
}

COGI_API int FCGX_FFlush(FCGX_Stream* stream) {
  if (stream->isClosed != 0 || stream->isReader != 0) return 0;
  stream->emptyBuffProc(stream, 0);
  return stream->isClosed != 0 ? -1 : 0;
}

COGI_API int FCGX_VFPrintF(FCGX_Stream* stream, const char* format, va_list arguments) {
  // One that has written nothing has no buffer yet; what a full one has goes out now.
  if (stream->isReader == 0 && stream->isClosed == 0 && stream->wrNext == stream->stop)
    stream->emptyBuffProc(stream, 0);
  va_list again;
  va_copy(again, arguments);
  const auto room = static_cast<size_t>(stream->isReader == 0 ? stream->stop - stream->wrNext : 0);
  const int size = std::vsnprintf(reinterpret_cast<char*>(stream->wrNext), room, format, arguments);
  int result = size;
  if (size > 0 && static_cast<size_t>(size) < room) {
    stream->wrNext += size;
  } else if (size > 0) {
    char* text = nullptr;
    result = vasprintf(&text, format, again);
    if (result > 0) result = Put(text, result, stream);
    std::free(text);
  }
  va_end(again);
  return result;
}

}  // extern "C"
