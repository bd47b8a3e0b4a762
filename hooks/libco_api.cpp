// The part of libco's API that needs the hooks (coroutine/libco/co_routine.h).
#include <sys/socket.h>

#include "coroutine/libco/co_routine.h"

COGI_LIBCO_API int co_accept(int fd, sockaddr* address, socklen_t* length) {
  return accept(fd, address,
                length);  // hooked: it parks unless the program has made `fd` non-blocking
}
