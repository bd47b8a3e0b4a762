// The context switch for x86-64, System V ABI. See context.h for what it promises.
//
// Saved frame, from the stack pointer up (struct SwitchFrame):
//   0 exception globals (16)   16 mxcsr   20 x87 control word   24 errno   32 r15 r14 r13 r12 rbx rbp   80 resume_at
#if defined(__x86_64__)
    .text

.macro SAVE_CONTEXT             // in: rdx = words; out: rax = errno's address, rcx = exception globals
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    leaq    -32(%rsp), %rsp
    .cfi_adjust_cfa_offset 32
    movq    (%rdx), %rax
    movq    8(%rdx), %rcx
    movups  (%rcx), %xmm0
    movl    (%rax), %r8d
    stmxcsr 16(%rsp)
    fnstcw  20(%rsp)
    movl    %r8d, 24(%rsp)
    movups  %xmm0, (%rsp)
    movq    %rsp, (%rdi)
.endm

.macro LOAD_WORDS               // in: rax = errno's address, rcx = exception globals
    movups  (%rsp), %xmm1
    movl    24(%rsp), %r8d
    movups  %xmm1, (%rcx)
    movl    %r8d, (%rax)
.endm

.macro LOAD_REGISTERS_AND_JUMP
    movq    32(%rsp), %r15
    movq    40(%rsp), %r14
    movq    48(%rsp), %r13
    movq    56(%rsp), %r12
    movq    64(%rsp), %rbx
    movq    72(%rsp), %rbp
    movq    80(%rsp), %r8
    leaq    88(%rsp), %rsp
    .cfi_def_cfa %rsp, 0
    .cfi_register %rip, %r8
    .cfi_same_value %rbp
    .cfi_same_value %rbx
    .cfi_same_value %r12
    .cfi_same_value %r13
    .cfi_same_value %r14
    .cfi_same_value %r15
    notrack jmp *%r8            // to the instruction after a call: no endbr64 there
.endm

// void name(void** from, void* to, const ThreadWords* words)
.macro SWITCH name
    .globl  \name
    .hidden \name
    .type   \name, @function
    .p2align 6
\name:
    .cfi_startproc
    endbr64
    SAVE_CONTEXT
    movq    %rsp, %r10
    movq    %rsi, %rsp
    LOAD_WORDS
    // The control words rarely differ and are slow to load. The low six bits of mxcsr are status
    // flags, which no call preserves.
    movl    16(%r10), %r8d
    xorl    16(%rsp), %r8d
    movzwl  20(%r10), %r9d
    testl   $0xffc0, %r8d
    jne     1f
    cmpw    20(%rsp), %r9w
    jne     1f
2:  LOAD_REGISTERS_AND_JUMP
    .cfi_endproc
    // Out of the way: the words differ.
    .cfi_startproc
    .cfi_def_cfa %rsp, 88
    .cfi_offset %rip, -8
1:  ldmxcsr 16(%rsp)
    fldcw   20(%rsp)
    jmp     2b
    .cfi_endproc
    .size   \name, . - \name
.endm

    SWITCH cogi_switch_resume
    SWITCH cogi_switch_yield

// void cogi_switch_by(void** from, void* stack_top, const ThreadWords* words, void* (*prepare)(void*), void* argument)
    .globl  cogi_switch_by
    .hidden cogi_switch_by
    .type   cogi_switch_by, @function
    .p2align 4
cogi_switch_by:
    .cfi_startproc
    endbr64
    movq    %rcx, %r9
    movq    %r8, %r10
    SAVE_CONTEXT
    movq    %rax, %rbx
    movq    %rcx, %r12
    movq    %rsi, %rsp
    .cfi_undefined %rip         // nothing to unwind to on this stack
    movq    %r10, %rdi
    call    *%r9
    movq    %rax, %rsp
    movq    %rbx, %rax
    movq    %r12, %rcx
    LOAD_WORDS
    ldmxcsr 16(%rsp)            // the left frame may be gone: no comparing
    fldcw   20(%rsp)
    LOAD_REGISTERS_AND_JUMP
    .cfi_endproc
    .size   cogi_switch_by, . - cogi_switch_by

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
    .cfi_endproc
    .size   cogi_context_entry, . - cogi_context_entry

// Says that indirect branch tracking works with this file, and (by not saying so) that shadow stacks
// do not: the loader then leaves them off for the process.
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xc0000002, 4, 1, 0
#endif
    .section .note.GNU-stack, "", @progbits
