// COGI_API marks what libcogi.so exports. Everything else is hidden (-fvisibility=hidden).
#ifndef COGI_COROUTINE_EXPORT_H_
#define COGI_COROUTINE_EXPORT_H_

#define COGI_API __attribute__((visibility("default")))

#endif  // COGI_COROUTINE_EXPORT_H_
