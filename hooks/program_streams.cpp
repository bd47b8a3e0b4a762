#include "hooks/program_streams.h"

#include <link.h>

#include <cstdio>
#include <cstring>
#include <cwchar>
#include <exception>
#include <iostream>
#include <streambuf>

#include "hooks/program.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

int Get(char*, FILE* file) { return std::getc(file); }
wint_t Get(wchar_t*, FILE* file) { return std::getwc(file); }
int Unget(int character, FILE* file) { return std::ungetc(character, file); }
wint_t Unget(wint_t character, FILE* file) { return std::ungetwc(character, file); }
int Put(char character, FILE* file) { return std::putc(character, file); }
wint_t Put(wchar_t character, FILE* file) { return std::putwc(character, file); }

std::streamsize PutAll(const char* text, std::streamsize size, FILE* file) {
  return static_cast<std::streamsize>(std::fwrite(text, 1, static_cast<size_t>(size), file));
}
std::streamsize PutAll(const wchar_t* text, std::streamsize size, FILE* file) {
  std::streamsize done = 0;
  while (done < size && std::putwc(text[done], file) != WEOF) ++done;
  return done;
}
std::streamsize GetAll(char* text, std::streamsize size, FILE* file) {
  return static_cast<std::streamsize>(std::fread(text, 1, static_cast<size_t>(size), file));
}
std::streamsize GetAll(wchar_t* text, std::streamsize size, FILE* file) {
  std::streamsize done = 0;
  for (wint_t next; done < size && (next = std::getwc(file)) != WEOF; ++done)
    text[done] = static_cast<wchar_t>(next);
  return done;
}

// A stream buffer without a buffer over the FILE that `*file` is at the time of each call.
template <class Char>
class StdioBuffer final : public std::basic_streambuf<Char> {
  using Traits = std::char_traits<Char>;
  using Int = typename Traits::int_type;

 public:
  explicit StdioBuffer(FILE** file) : file_(file) {}

 protected:
  Int overflow(Int character) override {
    if (Traits::eq_int_type(character, Traits::eof()))
      return std::fflush(*file_) == 0 ? Traits::not_eof(character) : Traits::eof();
    return Put(Traits::to_char_type(character), *file_);
  }
  std::streamsize xsputn(const Char* text, std::streamsize size) override {
    return PutAll(text, size, *file_);
  }
  int sync() override { return std::fflush(*file_); }

  Int underflow() override { return Unget(Get(static_cast<Char*>(nullptr), *file_), *file_); }
  Int uflow() override { return last_ = Get(static_cast<Char*>(nullptr), *file_); }
  Int pbackfail(Int character) override {
    const Int back = Traits::eq_int_type(character, Traits::eof()) ? last_ : character;
    last_ = Traits::eof();
    if (Traits::eq_int_type(back, Traits::eof())) return back;
    return Unget(back, *file_);
  }
  std::streamsize xsgetn(Char* text, std::streamsize size) override {
    const std::streamsize got = GetAll(text, size, *file_);
    last_ = got > 0 ? Traits::to_int_type(text[got - 1]) : Traits::eof();
    return got;
  }

 private:
  FILE** file_;
  Int last_ = Traits::eof();
};

struct Buffers {
  StdioBuffer<char> in{&stdin}, out{&stdout}, err{&stderr};
  StdioBuffer<wchar_t> wide_in{&stdin}, wide_out{&stdout}, wide_err{&stderr};
};

// Never destroyed: programs run until the worker ends.
Buffers& TheBuffers() {
  static Buffers* const buffers = new Buffers;
  return *buffers;
}

template <class Object>
MemorySpan SpanOf(Object& object) {
  return {reinterpret_cast<char*>(&object), sizeof object};
}

struct FindLibrary {
  uintptr_t address;
  AddressRange found;
};

int Visit(dl_phdr_info* info, size_t, void* context) {
  auto& find = *static_cast<FindLibrary*>(context);
  AddressRange range{UINTPTR_MAX, 0};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    range.begin = std::min(range.begin, begin);
    range.end = std::max(range.end, begin + header.p_memsz);
  }
  if (find.address < range.begin || find.address >= range.end) return 0;
  find.found = range;
  return 1;
}

constinit real::RealCall<bool(bool)> real_sync_with_stdio{"_ZNSt8ios_base15sync_with_stdioEb"};

}  // namespace

CxxStreams& CxxStreams::Instance() {
  static CxxStreams* const streams = new CxxStreams;
  return *streams;
}

CxxStreams::CxxStreams() {
  Buffers& buffers = TheBuffers();
  std::vector<MemorySpan> spans = {
      SpanOf(std::cin),   SpanOf(std::cout),   SpanOf(std::cerr),       SpanOf(std::clog),
      SpanOf(std::wcin),  SpanOf(std::wcout),  SpanOf(std::wcerr),      SpanOf(std::wclog),
      SpanOf(buffers.in), SpanOf(buffers.out), SpanOf(buffers.wide_in), SpanOf(buffers.err)};
  SwappedMemory own;
  own.Take(spans);
  std::cin.rdbuf(&buffers.in);
  std::cout.rdbuf(&buffers.out);
  std::cerr.rdbuf(&buffers.err);
  std::clog.rdbuf(&buffers.err);
  std::wcin.rdbuf(&buffers.wide_in);
  std::wcout.rdbuf(&buffers.wide_out);
  std::wcerr.rdbuf(&buffers.wide_err);
  std::wclog.rdbuf(&buffers.wide_err);
  memory_.Take(spans);
  // The server gets its own contents back, and `memory_` keeps them for whenever a program has been
  // there.
  SwappedMemory::Holder server;
  own.Prepare(server);
  own.BringIn(server);
  memory_.Prepare(server_);
  memory_.Keep(server_);
}

AddressRange LibstdcxxAddresses() noexcept {
  static const AddressRange range = [] {
    FindLibrary find{reinterpret_cast<uintptr_t>(
                         static_cast<std::terminate_handler (*)() noexcept>(std::get_terminate)),
                     {}};
    dl_iterate_phdr(Visit, &find);
    return find.found;
  }();
  return range;
}

}  // namespace cogi::hooks

// libstdc++'s would give the streams buffers of which the process has one, which nobody flushes at
// the end of a program. A program's streams stay in step with stdio.
COGI_API bool std::ios_base::sync_with_stdio(bool sync) {
  if (cogi::hooks::Program::Current() != nullptr) return true;
  return cogi::hooks::real_sync_with_stdio(sync);
}
