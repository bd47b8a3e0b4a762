// The context switch for 64-bit ARM, AAPCS64. See context.h for what it promises, and context_x86_64.S for its twin.
//
// Saved frame, from the stack pointer up (struct SwitchFrame):
//   0 errno   8 resume_at   16 x19 to x28   96 x29 x30   112 d8 to d15
//
// Code that is built for branch target identification leaves by `ret`, the one indirect branch that may land on an
// instruction that is no landing pad; other code by `br`, which the processor predicts by the history of the place.
#include "coroutine/layout.h"

#if defined(__aarch64__)
    .text

#define THREAD_CONTEXT _ZN4cogi9coroutine14thread_contextE
#define FRAME_SIZE 176
#define RESUME_AT 8

#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define JUMP ret
#else
#define JUMP br
#endif

// In: x1 = errno's address. Uses w16.
.macro SAVE_CONTEXT
    sub     sp, sp, #FRAME_SIZE
    .cfi_adjust_cfa_offset FRAME_SIZE
    ldr     w16, [x1]
    stp     x16, x30, [sp]
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     x29, x30, [sp, #96]
    stp     d8, d9, [sp, #112]
    stp     d10, d11, [sp, #128]
    stp     d12, d13, [sp, #144]
    stp     d14, d15, [sp, #160]
    .cfi_rel_offset x30, RESUME_AT
    .cfi_rel_offset x19, 16
    .cfi_rel_offset x20, 24
    .cfi_rel_offset x21, 32
    .cfi_rel_offset x22, 40
    .cfi_rel_offset x23, 48
    .cfi_rel_offset x24, 56
    .cfi_rel_offset x25, 64
    .cfi_rel_offset x26, 72
    .cfi_rel_offset x27, 80
    .cfi_rel_offset x28, 88
    .cfi_rel_offset x29, 96
.endm

.macro LOAD_CONTEXT_AND_JUMP
    ldp     x16, x17, [sp]
    str     w16, [x1]
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp, #96]
    ldp     d8, d9, [sp, #112]
    ldp     d10, d11, [sp, #128]
    ldp     d12, d13, [sp, #144]
    ldp     d14, d15, [sp, #160]
    add     sp, sp, #FRAME_SIZE
    .cfi_adjust_cfa_offset -FRAME_SIZE
    .cfi_same_value x19
    .cfi_same_value x20
    .cfi_same_value x21
    .cfi_same_value x22
    .cfi_same_value x23
    .cfi_same_value x24
    .cfi_same_value x25
    .cfi_same_value x26
    .cfi_same_value x27
    .cfi_same_value x28
    .cfi_same_value x29
    .cfi_register x30, x17
    JUMP    x17
.endm

// Jumps to `otherwise` unless the thread is neutral. In: x2 = thread context. Out: x1 = errno's address. Uses x16, x17.
.macro REQUIRE_NEUTRAL otherwise
    ldp     x1, x16, [x2, #COGI_THREAD_ERRNO]       // and COGI_THREAD_EXCEPTIONS behind it
    ldr     x17, [x16]
    ldr     w16, [x16, #8]
    orr     x16, x16, x17
    cbnz    x16, \otherwise
    mrs     x16, fpcr
    ldr     x17, [x2, #COGI_THREAD_MODES]
    cmp     x16, x17
    b.ne    \otherwise
.endm

// x2 = the thread context. Uses x16.
.macro LOAD_THREAD_CONTEXT
    mrs     x2, tpidr_el0
    adrp    x16, :gottprel:THREAD_CONTEXT
    ldr     x16, [x16, #:gottprel_lo12:THREAD_CONTEXT]
    add     x2, x2, x16
.endm

.macro FUNCTION name
    .type   \name, %function
    .p2align 6
\name:
    .cfi_startproc
    hint    #34                 // bti c
.endm

.macro END_FUNCTION name
    .cfi_endproc
    .size   \name, . - \name
.endm

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define RESUME _ZN4cogi9coroutine6ResumeERNS0_9CoroutineE
#define YIELD_TO_RESUMER _ZN4cogi9coroutine14YieldToResumerEv

// void Resume(Coroutine& co)
    .globl  RESUME
FUNCTION RESUME
    LOAD_THREAD_CONTEXT
    ldr     w3, [x0, #COGI_COROUTINE_MARK]
    cmp     w3, #COGI_MARK_PARKED
    b.ne    1f
    ldr     x3, [x2, #COGI_THREAD_CURRENT]
    ldr     x4, [x2, #COGI_THREAD_ROOT_ADDRESS]
    cmp     x3, x4
    b.ne    1f
    ldr     x3, [x2, #COGI_THREAD_SCHEDULER]
    ldr     x4, [x0, #COGI_COROUTINE_SCHEDULER]
    cmp     x3, x4
    b.ne    1f
    REQUIRE_NEUTRAL 1f
    ldr     w3, =COGI_MARK_RUNNING_ON_TOP
    str     w3, [x0, #COGI_COROUTINE_MARK]
    str     x0, [x2, #COGI_THREAD_CURRENT]
    SAVE_CONTEXT
    mov     x3, sp
    str     x3, [x2, #COGI_THREAD_ROOT_SP]
    ldr     x3, [x0, #COGI_COROUTINE_SP]
    mov     sp, x3
    LOAD_CONTEXT_AND_JUMP
    .cfi_endproc
    .cfi_startproc
1:  b       cogi_resume_slowly
END_FUNCTION RESUME

// void YieldToResumer()
    .globl  YIELD_TO_RESUMER
FUNCTION YIELD_TO_RESUMER
    mov     w0, #COGI_MARK_PARKED
    b       .Lsuspend
END_FUNCTION YIELD_TO_RESUMER

// void cogi_suspend_as(uint32_t mark)
    .globl  cogi_suspend_as
    .hidden cogi_suspend_as
FUNCTION cogi_suspend_as
.Lsuspend:
    LOAD_THREAD_CONTEXT
    ldr     x3, [x2, #COGI_THREAD_CURRENT]
    cbz     x3, 1f
    ldr     w4, [x3, #COGI_COROUTINE_MARK]
    ldr     w5, =COGI_MARK_RUNNING_ON_TOP
    cmp     w4, w5
    b.ne    1f
    REQUIRE_NEUTRAL 1f
    ldr     x4, [x2, #COGI_THREAD_ROOT_ADDRESS]
    str     w0, [x3, #COGI_COROUTINE_MARK]
    str     x4, [x2, #COGI_THREAD_CURRENT]
    SAVE_CONTEXT
    mov     x4, sp
    str     x4, [x3, #COGI_COROUTINE_SP]
    ldr     x4, [x2, #COGI_THREAD_ROOT_SP]
    mov     sp, x4
    LOAD_CONTEXT_AND_JUMP
    .cfi_endproc
    .cfi_startproc
1:  b       cogi_suspend_slowly
END_FUNCTION cogi_suspend_as
#endif

// void cogi_switch(void** from, void* to, const ThreadWords* words)
    .globl  cogi_switch
    .hidden cogi_switch
FUNCTION cogi_switch
    mov     x3, x1
    ldr     x1, [x2, #COGI_THREAD_ERRNO]
    SAVE_CONTEXT
    mov     x4, sp
    str     x4, [x0]
    mov     sp, x3
    LOAD_CONTEXT_AND_JUMP
END_FUNCTION cogi_switch

// void cogi_switch_by(void** from, void* stack_top, const ThreadWords* words, void* (*prepare)(void*), void* argument)
    .globl  cogi_switch_by
    .hidden cogi_switch_by
FUNCTION cogi_switch_by
    mov     x5, x1
    ldr     x1, [x2, #COGI_THREAD_ERRNO]
    SAVE_CONTEXT
    mov     x6, sp
    str     x6, [x0]
    mov     sp, x5
    mov     x19, x1
    mov     x29, xzr            // nothing to unwind to on this stack
    mov     x0, x4
    .cfi_remember_state
    .cfi_undefined x30
    blr     x3
    .cfi_restore_state
    mov     x1, x19
    mov     sp, x0
    LOAD_CONTEXT_AND_JUMP
END_FUNCTION cogi_switch_by

// The bottom frame of each coroutine: debuggers and unwinders stop here.
    .globl  cogi_context_entry
    .hidden cogi_context_entry
    .type   cogi_context_entry, %function
    .p2align 4
    .cfi_startproc
    .cfi_undefined x30
    nop                         // unwinders look up the address before a return address
cogi_context_entry:
    hint    #36                 // bti j
    mov     x0, x19
    blr     x20
    brk     #1
END_FUNCTION cogi_context_entry

// Says that branch target identification works with this file, if it was built for it.
#if defined(__ARM_FEATURE_BTI_DEFAULT)
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xc0000000, 4, 1, 0
#endif
#endif
    .section .note.GNU-stack, "", %progbits
