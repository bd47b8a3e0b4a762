// Leaves everything behind: strings, files, descriptors, and its own stack by exit() inside a catch
// block. Query: n=NUMBER&wait=MILLISECONDS.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

long Parameter(const std::string& name) {
  const char* query = std::getenv("QUERY_STRING");
  const std::string text = query != nullptr ? query : "";
  const size_t at = text.find(name + "=");
  return at == std::string::npos ? 0
                                 : std::strtol(text.c_str() + at + name.size() + 1, nullptr, 10);
}

struct Noisy {
  explicit Noisy(long number) : name("noisy " + std::to_string(number)) {}
  ~Noisy() { std::cout << "gone: " << name << '\n'; }
  std::string name;
};

std::map<long, std::string>* never_deleted = new std::map<long, std::string>{{1, "one"}};
std::vector<std::string> global(20, "a string that does not fit into the small buffer");

}  // namespace

int main() {
  const long n = Parameter("n");
  static Noisy at_exit(n);
  std::cout << "Content-Type: text/plain\n\n"
            << never_deleted->size() << ' ' << global.size() << '\n';
  auto* lost = new std::string(static_cast<size_t>(1000 + 500 * (n % 40)), 'x');
  (*never_deleted)[n + 2] = *lost;
  global.push_back(*lost);
  void* raw = std::malloc(static_cast<size_t>(4096 * (1 + n % 16)));
  std::FILE* file = std::fopen("/dev/null", "w");
  std::fprintf(file, "never closed %ld", n);
  const int fd = open("/dev/null", O_RDONLY);
  usleep(static_cast<useconds_t>(Parameter("wait")) * 1000);
  std::cout << "lost " << lost->size() << ' ' << (raw != nullptr) << (fd > 2) << ' '
            << never_deleted->size() << '\n';
  auto kept =
      std::make_unique<Noisy>(n + 1);  // exit() does not unwind: its destructor is never called
  try {
    throw std::to_string(n);
  } catch (const std::string& text) {
    usleep(static_cast<useconds_t>(Parameter("wait")) * 1000);
    std::cout << "leaving with " << text << '\n';
    std::exit(0);
  }
}
