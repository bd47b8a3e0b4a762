// Where the assembly finds what in Coroutine and ThreadContext (control_block.h checks each of
// these).
#ifndef COGI_COROUTINE_LAYOUT_H_
#define COGI_COROUTINE_LAYOUT_H_

#define COGI_COROUTINE_SP 0
#define COGI_COROUTINE_SCHEDULER 8
#define COGI_COROUTINE_MARK 16

#define COGI_THREAD_ERRNO 0
#define COGI_THREAD_EXCEPTIONS 8
#define COGI_THREAD_MODES 16
#define COGI_THREAD_CURRENT 24
#define COGI_THREAD_SCHEDULER 32
#define COGI_THREAD_ROOT_ADDRESS 40
#define COGI_THREAD_SEEN_MXCSR 48
#define COGI_THREAD_ROOT_SP 64

// Coroutine::mark of one that is suspended, or was resumed from the thread's own stack and runs,
// with nothing special about it.
#define COGI_MARK_PARKED 4
#define COGI_MARK_RUNNING_ON_TOP 0x10002

#endif  // COGI_COROUTINE_LAYOUT_H_
