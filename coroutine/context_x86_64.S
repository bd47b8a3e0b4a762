// The context switch for x86-64, System V ABI. See context.h for what it promises.
//
// Saved frame, from the stack pointer up (struct SwitchFrame):
//   0 errno   8 r15 r14 r13 r12 rbx rbp   56 resume_at
#include "coroutine/layout.h"

#if defined(__x86_64__)
    .text

.macro SAVE name
    pushq   %\name
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %\name, 0
.endm

.macro LOAD name
    popq    %\name
    .cfi_adjust_cfa_offset -8
    .cfi_same_value %\name
.endm

// In: rax = errno's address. Uses r8.
.macro SAVE_CONTEXT
    SAVE    rbp
    SAVE    rbx
    SAVE    r12
    SAVE    r13
    SAVE    r14
    SAVE    r15
    movl    (%rax), %r8d
    pushq   %r8
    .cfi_adjust_cfa_offset 8
.endm

.macro LOAD_CONTEXT
    popq    %r8
    .cfi_adjust_cfa_offset -8
    movl    %r8d, (%rax)
    LOAD    r15
    LOAD    r14
    LOAD    r13
    LOAD    r12
    LOAD    rbx
    LOAD    rbp
    popq    %r8
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %r8
.endm

.macro LOAD_CONTEXT_AND_JUMP
    LOAD_CONTEXT
    notrack jmp *%r8            // to the instruction after a call: no endbr64 there
.endm

// The x87 control word and mxcsr are stored first and looked at late, mxcsr when all else is done: there are processors that
// take longer over these than over the whole of the rest, and do the rest meanwhile.
.macro STORE_CONTROL_WORD
    fnstcw  -16(%rsp)
.endm

// Jumps to `otherwise` unless the thread is neutral, mxcsr apart. In: rdx = thread context, relative to fs; the control word,
// stored. Out: rax = errno's address. Uses rcx, r8 and r9.
.macro REQUIRE_NEUTRAL otherwise
    movq    %fs:COGI_THREAD_EXCEPTIONS(%rdx), %rcx
    movq    %fs:COGI_THREAD_ERRNO(%rdx), %rax
    movl    8(%rcx), %r8d
    orq     (%rcx), %r8
    jne     \otherwise
    movzwl  -16(%rsp), %r9d
    cmpl    %fs:COGI_THREAD_MODES+4(%rdx), %r9d
    jne     \otherwise
.endm

.macro FUNCTION name
    .type   \name, @function
    .p2align 6
\name:
    .cfi_startproc
    endbr64
.endm

.macro END_FUNCTION name
    .cfi_endproc
    .size   \name, . - \name
.endm

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define THREAD_CONTEXT _ZN4cogi9coroutine14thread_contextE
#define RESUME _ZN4cogi9coroutine6ResumeERNS0_9CoroutineE
#define YIELD_TO_RESUMER _ZN4cogi9coroutine14YieldToResumerEv

// void Resume(Coroutine& co)
    .globl  RESUME
FUNCTION RESUME
    STORE_CONTROL_WORD
    movq    THREAD_CONTEXT@gottpoff(%rip), %rdx
    cmpl    $COGI_MARK_PARKED, COGI_COROUTINE_MARK(%rdi)
    jne     1f
    movq    %fs:COGI_THREAD_CURRENT(%rdx), %rax
    cmpq    %fs:COGI_THREAD_ROOT_ADDRESS(%rdx), %rax
    jne     1f
    movq    %fs:COGI_THREAD_SCHEDULER(%rdx), %rcx
    cmpq    %rcx, COGI_COROUTINE_SCHEDULER(%rdi)
    jne     1f
2:  REQUIRE_NEUTRAL 1f
    movl    $COGI_MARK_RUNNING_ON_TOP, COGI_COROUTINE_MARK(%rdi)
    movq    %rdi, %fs:COGI_THREAD_CURRENT(%rdx)
    SAVE_CONTEXT
    movq    %rsp, %fs:COGI_THREAD_ROOT_SP(%rdx)
    movq    COGI_COROUTINE_SP(%rdi), %rsp
    LOAD_CONTEXT_AND_JUMP
    .cfi_endproc
    .cfi_startproc
1:  jmp     cogi_resume_slowly
END_FUNCTION RESUME
    STORE_CONTROL_WORD

// void cogi_resume_in_place(Coroutine& co)
    .globl  cogi_resume_in_place
    .hidden cogi_resume_in_place
FUNCTION cogi_resume_in_place
    STORE_CONTROL_WORD
    movq    THREAD_CONTEXT@gottpoff(%rip), %rdx
    jmp     2b
END_FUNCTION cogi_resume_in_place
    STORE_CONTROL_WORD

// void YieldToResumer()
    .globl  YIELD_TO_RESUMER
FUNCTION YIELD_TO_RESUMER
    movl    $COGI_MARK_PARKED, %edi
    // falls through
END_FUNCTION YIELD_TO_RESUMER

// void cogi_suspend_as(uint32_t mark)
    .globl  cogi_suspend_as
    .hidden cogi_suspend_as
    .type   cogi_suspend_as, @function
cogi_suspend_as:
    .cfi_startproc
    STORE_CONTROL_WORD
    movq    THREAD_CONTEXT@gottpoff(%rip), %rdx
    stmxcsr %fs:COGI_THREAD_SEEN_MXCSR(%rdx)
    movq    %fs:COGI_THREAD_CURRENT(%rdx), %rsi
    testq   %rsi, %rsi
    je      1f
    cmpl    $COGI_MARK_RUNNING_ON_TOP, COGI_COROUTINE_MARK(%rsi)
    jne     1f
    REQUIRE_NEUTRAL 1f
    movq    %fs:COGI_THREAD_ROOT_ADDRESS(%rdx), %rcx
    movl    %edi, COGI_COROUTINE_MARK(%rsi)
    movq    %rcx, %fs:COGI_THREAD_CURRENT(%rdx)
    SAVE_CONTEXT
    movq    %rsp, COGI_COROUTINE_SP(%rsi)
    movq    %fs:COGI_THREAD_ROOT_SP(%rdx), %rsp
    LOAD_CONTEXT
    movl    %fs:COGI_THREAD_SEEN_MXCSR(%rdx), %r9d
    andl    $0xffc0, %r9d
    cmpl    %fs:COGI_THREAD_MODES(%rdx), %r9d
    jne     2f
    notrack jmp *%r8

2:  movq    COGI_COROUTINE_SP(%rsi), %rsp   // as it was, for the slow way
    .cfi_offset %rip, -8
    .cfi_def_cfa_offset 64
    LOAD_CONTEXT
    pushq   %r8
    .cfi_adjust_cfa_offset 8
    .cfi_offset %rip, -8
    movl    $COGI_MARK_RUNNING_ON_TOP, COGI_COROUTINE_MARK(%rsi)
    movq    %rsi, %fs:COGI_THREAD_CURRENT(%rdx)
1:  jmp     cogi_suspend_slowly
END_FUNCTION cogi_suspend_as
#endif

// void cogi_switch(void** from, void* to, const ThreadWords* words)
    .globl  cogi_switch
    .hidden cogi_switch
FUNCTION cogi_switch
    movq    COGI_THREAD_ERRNO(%rdx), %rax
    SAVE_CONTEXT
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    LOAD_CONTEXT_AND_JUMP
END_FUNCTION cogi_switch

// void cogi_switch_by(void** from, void* stack_top, const ThreadWords* words, void* (*prepare)(void*), void* argument)
    .globl  cogi_switch_by
    .hidden cogi_switch_by
FUNCTION cogi_switch_by
    movq    %r8, %r10
    movq    COGI_THREAD_ERRNO(%rdx), %rax
    SAVE_CONTEXT
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    movq    %rax, %rbx
    movq    %r10, %rdi
    .cfi_remember_state
    .cfi_undefined %rip         // nothing to unwind to on this stack
    call    *%rcx
    .cfi_restore_state
    movq    %rax, %rsp
    movq    %rbx, %rax
    LOAD_CONTEXT_AND_JUMP
END_FUNCTION cogi_switch_by

// The bottom frame of each coroutine: debuggers and unwinders stop here.
    .globl  cogi_context_entry
    .hidden cogi_context_entry
    .type   cogi_context_entry, @function
    .p2align 4
    .cfi_startproc
    .cfi_undefined %rip
    nop                         // unwinders look up the address before a return address
cogi_context_entry:
    endbr64
    movq    %rbx, %rdi
    call    *%r12
    ud2
END_FUNCTION cogi_context_entry

// Says that indirect branch tracking works with this file, and (by not saying so) that shadow stacks
// do not: the loader then leaves them off for the process.
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xc0000002, 4, 1, 0
#endif
    .section .note.GNU-stack, "", @progbits
