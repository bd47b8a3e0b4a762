// The part of libco's API that needs the hooks (coroutine/libco/co_routine.h).
#include <netdb.h>
#include <sys/socket.h>

#include "coroutine/libco/co_routine.h"

COGI_LIBCO_API int co_accept(int fd, sockaddr* address, socklen_t* length) {
  return accept(fd, address,
                length);  // hooked: it parks unless the program has made `fd` non-blocking
}

COGI_LIBCO_API hostent* co_gethostbyname(const char* name) { return gethostbyname(name); }

COGI_LIBCO_API int co_gethostbyname_r(const char* name, hostent* result, char* buffer, size_t size,
                                      hostent** found, int* error) {
  return gethostbyname_r(name, result, buffer, size, found, error);
}
