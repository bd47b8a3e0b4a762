// Output by every way that C and C++ have, in turn, and streams that are left in disorder: each
// request must find them as a new process does. Query: mode=turns|format|redirect|unsynced|wide|
// unflushed&n=NUMBER&wait=MILLISECONDS.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>

namespace {

const char* Query() {
  const char* query = std::getenv("QUERY_STRING");
  return query != nullptr ? query : "";
}

long Parameter(const char* name) {
  const char* at = std::strstr(Query(), name);
  return at == nullptr ? 0 : std::strtol(at + std::strlen(name), nullptr, 10);
}

void PassTime() { usleep(static_cast<useconds_t>(Parameter("wait=")) * 1000); }

void Write(const std::string& text) {
  if (write(1, text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::_Exit(9);
}

// Each way is flushed before the next one, as a program that mixes them has to.
void Turns(long n) {
  for (int i = 0; i < 3; ++i) {
    std::cout << "cout " << n << ' ' << i << std::endl;
    PassTime();
    Write("write " + std::to_string(i) + "\n");
    dprintf(STDOUT_FILENO, "dprintf %ld\n", n);
    PassTime();
    std::printf("printf %d\n", i);
    std::fflush(stdout);
    std::cout << "and cout" << std::flush;
    std::puts(", puts");
    std::fflush(stdout);
    std::fputc('.', stdout);
    std::cout.put('\n').flush();
  }
}

void Format(long n) {
  std::cout << 255 << ' ' << 1.5 << ' ' << true << '\n';
  if (n % 2 == 1) std::cout << std::hex << std::showbase << std::uppercase;
  std::cout << std::boolalpha << std::setprecision(3) << std::setfill('_');
  PassTime();
  std::cout << std::setw(8) << 255 << ' ' << 3.14159 << ' ' << true << '\n';
  std::cout.setstate(std::ios::failbit);
  std::cout << "lost";
  std::cout.clear();
}

void Redirect(long n) {
  auto* into = new std::ostringstream;  // left behind, and so is the redirection
  std::cout << "to the client" << std::endl;
  std::streambuf* const before = std::cout.rdbuf(into->rdbuf());
  std::cout << "to a string of " << n;
  PassTime();
  const std::string text = into->str();
  std::printf("the string has: %s\n", text.c_str());
  if (n % 2 == 0) std::cout.rdbuf(before);
}

void Wide(long n) {
  std::wcout << L"wide " << n << L'\n';
  PassTime();
  std::wcout << L"and once more" << std::endl;
}

void Unsynced(long n) {
  std::ios::sync_with_stdio(false);
  std::cout << "unsynced " << n << '\n';
  PassTime();
  for (int i = 0; i < 200; ++i) std::cout << i << (i % 20 == 19 ? '\n' : ' ');
}

}  // namespace

int main() {
  const std::string query = Query();
  const long n = Parameter("n=");
  const char head[] = "Content-Type: text/plain\n\n";
  if (query.find("mode=wide") != std::string::npos) {
    std::wcout << head;
    Wide(n);
    return 0;
  }
  if (query.find("mode=unsynced") == std::string::npos) std::cout << head;
  if (query.find("mode=turns") != std::string::npos) Turns(n);
  if (query.find("mode=format") != std::string::npos) Format(n);
  if (query.find("mode=redirect") != std::string::npos) Redirect(n);
  if (query.find("mode=unsynced") != std::string::npos) {
    std::ios::sync_with_stdio(false);
    std::cout << head;
    Unsynced(n);
  }
  if (query.find("mode=unflushed") != std::string::npos) {
    std::cout << "not flushed by " << n << '\n';
    PassTime();
    std::exit(static_cast<int>(n % 3));
  }
}
