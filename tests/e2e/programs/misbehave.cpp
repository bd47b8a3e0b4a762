// Programs that go wrong, one way for each ?mode.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sstream>
#include <stdexcept>
#include <string>

namespace {

int Overflow(int depth) {
  volatile char frame[4096];
  std::memset(const_cast<char*>(frame), depth, sizeof frame);
  return depth < 0 ? 0 : Overflow(depth + 1) + frame[0];
}

// For ever, each in another place: its own code, a library's, malloc's, a callback of libc's,
// stdio's, libstdc++'s, an exception's way.
void Loop(const std::string& where) {
  static char text[1 << 20];
  std::memset(text, 'x', sizeof text - 1);
  double number = 1;
  for (unsigned long turns = 0;; ++turns) {
    if (where == "-math") number = std::sin(number) + 1;
    if (where == "-text") text[0] = static_cast<char>('a' + std::strlen(text) % 20);
    if (where == "-heap") std::free(std::malloc(1 + turns % 5000));
    if (where == "-sort") {
      std::qsort(text, sizeof text, 1, [](const void* first, const void* second) {
        return *static_cast<const char*>(first) - *static_cast<const char*>(second);
      });
    }
    if (where == "-print") std::snprintf(text, 2000, "%-1500d %f", std::rand(), number);
    if (where == "-stream") std::ostringstream() << number << ' ' << turns << std::endl;
    if (where == "-throw") {
      try {
        throw std::runtime_error("caught");
      } catch (const std::exception&) {
        number += 1;
      }
    }
    __asm__ volatile("" : : "r"(turns), "x"(number) : "memory");
  }
}

void Die(const std::string& how) {
  if (how == "abort") std::abort();
  if (how == "throw") throw std::runtime_error("nobody catches this");
  if (how == "overflow") std::printf("%d", Overflow(1));
  if (how == "null") *reinterpret_cast<volatile int*>(std::getenv("NOT_SET_AT_ALL")) = 1;
  if (how == "exit1") std::exit(1);
  if (how.compare(0, 4, "loop") == 0) Loop(how.substr(4));
}

void Print(const std::string& what) {
  const std::string type = "Content-Type: text/plain\n";
  std::string text;
  if (what == "noblank") text = type + "X-More: yes\n";
  if (what == "noheader") text = "just text\nand more of it\n\nthe end\n";
  if (what == "status") text = "Status: 999x\n" + type + "\ntext";
  if (what == "statuslow") text = "Status: 42\n" + type + "\ntext";
  if (what == "nul") text = type + std::string("X-Nul: a\0b\n", 11) + "\ntext";
  if (what == "cr") text = type + "X-Cr: a\rSet-Cookie: b\n\ntext";
  if (what == "lf") text = type + "X-Lf: a\nforged without a colon\n\ntext";
  if (what == "fold") text = type + "X-Fold: a\n Set-Cookie: b\n\ntext";
  if (what == "badname") text = type + "X Bad Name: a\n\ntext";
  if (what == "longer") text = type + "Content-Length: 3\n\nabcdefgh";
  if (what == "shorter") text = type + "Content-Length: 100\n\nabc";
  if (what == "endlesshead") text = type + "X: " + std::string(10'000'000, 'v');
  if (what == "compute") {
    const std::clock_t end = std::clock() + CLOCKS_PER_SEC / 4;
    while (std::clock() < end) continue;
    text = type + "\ncomputed";
  }
  if (what == "local") text = "Location: /echo.cgi\n\n";
  if (what == "circle") text = "Location: /misbehave.cgi?mode=circle\n\n";
  if (what == "redirect") text = "Location: http://elsewhere.example/\n\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

int main() {
  const char* query = std::getenv("QUERY_STRING");
  const std::string mode =
      query != nullptr && std::strncmp(query, "mode=", 5) == 0 ? query + 5 : "";
  usleep(1000);
  Die(mode);
  Print(mode);
}
