// COGI_API marks what libcogi.so exports (cgi/ does not see coroutine/, so it has its own copy of
// the macro).
#ifndef COGI_CGI_EXPORT_H_
#define COGI_CGI_EXPORT_H_

#ifndef COGI_API
#define COGI_API __attribute__((visibility("default")))
#endif

#endif  // COGI_CGI_EXPORT_H_
