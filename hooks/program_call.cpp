#include "hooks/program_call.h"

#if !defined(__x86_64__)
#error "cogi_call_outermost() is not written for this CPU"
#endif

// long cogi_call_outermost(rdi: function, rsi: first, rdx: second, rcx: third)
// The return address is declared undefined: unwinders stop here.
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
