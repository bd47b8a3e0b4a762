// std::cin, cout, cerr, clog and their wide forms, fresh for every program. The objects live in
// libstdc++; their bytes are swapped as static data is. Their stream buffers are replaced by ones
// over whatever stdin, stdout and stderr are at the moment, so they keep their order with printf().
#ifndef COGI_HOOKS_PROGRAM_STREAMS_H_
#define COGI_HOOKS_PROGRAM_STREAMS_H_

#include "hooks/program_heap.h"
#include "hooks/program_memory.h"

namespace cogi::hooks {

class CxxStreams {
 public:
  [[nodiscard]] static CxxStreams& Instance();

  void Prepare(SwappedMemory::Holder& holder) const { memory_.Prepare(holder); }
  void BringIn(SwappedMemory::Holder& holder) noexcept { memory_.BringIn(holder); }
  void Drop(SwappedMemory::Holder& holder) noexcept {
    memory_.Drop(holder);
    memory_.BringIn(server_);
    memory_.Drop(server_);
  }

 private:
  CxxStreams();
  SwappedMemory memory_;
  SwappedMemory::Holder server_;  // the server's own, in place when no program's are
};

// LibstdcxxAddresses() is where libstdc++ is mapped.
[[nodiscard]] AddressRange LibstdcxxAddresses() noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_STREAMS_H_
