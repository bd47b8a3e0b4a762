#include "hooks/program_call.h"

// long cogi_call_outermost(function, first, second, third)
// The return address is declared undefined: unwinders stop here.
#if defined(__x86_64__)
asm(R"(
  .text
  .p2align 4
  .globl cogi_call_outermost
  .hidden cogi_call_outermost
  .type cogi_call_outermost, @function
cogi_call_outermost:
  .cfi_startproc
  .cfi_undefined rip
  endbr64
  pushq %rbp
  movq %rsp, %rbp
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  movq %rcx, %rdx
  callq *%rax
  popq %rbp
  retq
  .cfi_endproc
  .size cogi_call_outermost, . - cogi_call_outermost
)");
#elif defined(__aarch64__)
asm(R"(
  .text
  .p2align 4
  .globl cogi_call_outermost
  .hidden cogi_call_outermost
  .type cogi_call_outermost, %function
cogi_call_outermost:
  .cfi_startproc
  .cfi_undefined x30
  hint #34  // bti c
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  mov x9, x0
  mov x0, x1
  mov x1, x2
  mov x2, x3
  blr x9
  ldp x29, x30, [sp], #16
  ret
  .cfi_endproc
  .size cogi_call_outermost, . - cogi_call_outermost
)");
#else
#error "cogi_call_outermost() is not written for this CPU"
#endif
