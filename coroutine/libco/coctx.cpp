#include "coroutine/libco/coctx.h"

#include <cstdint>

#include "coroutine/check.h"
#include "coroutine/context.h"

namespace core = cogi::coroutine;

namespace {

void Enter(void* argument) {
  const auto& context = *static_cast<coctx_t*>(argument);
  context.function(const_cast<void*>(context.parameters.s1),
                   const_cast<void*>(context.parameters.s2));
  COGI_CHECK(false, "the function of coctx_make() returned: it must switch away for good instead");
}

}  // namespace

int coctx_init(coctx_t* context) {
  *context = {};
  return 0;
}

int coctx_make(coctx_t* context, coctx_pfn_t function, const void* first, const void* second) {
  context->function = function;
  context->parameters = {first, second};
  const auto end = reinterpret_cast<uintptr_t>(context->ss_sp) + context->ss_size;
  void* top = reinterpret_cast<void*>(end & ~uintptr_t{15});
  context->stack_pointer = core::MakeContext(top, &Enter, context);
  return 0;
}

void coctx_swap(coctx_t* from, coctx_t* to) {
  thread_local core::ThreadWords words;
  if (words.errno_address == nullptr) core::Learn(words);
  const core::KeptWords kept(words);
  core::cogi_switch(&from->stack_pointer, to->stack_pointer, &words);
}
