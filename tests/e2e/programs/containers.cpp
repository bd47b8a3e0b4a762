// Global containers that are not empty at the start, thread_local, function-local statics, and a
// constructor that throws for one input: constructors run for each request, and nothing of one
// request is seen by another. Query: n=NUMBER&wait=MILLISECONDS, or throw=1 (ends in std::terminate
// before main()).
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::string Query() {
  const char* query = std::getenv("QUERY_STRING");
  return query != nullptr ? query : "";
}

long Parameter(const std::string& name) {
  const std::string query = Query();
  const size_t at = query.find(name + "=");
  return at == std::string::npos ? 0
                                 : std::strtol(query.c_str() + at + name.size() + 1, nullptr, 10);
}

struct Picky {
  Picky() : value("picked for " + std::to_string(Parameter("n"))) {
    if (Parameter("throw") == 1) throw std::runtime_error("not this one");
  }
  ~Picky() { std::cout << "destroyed " << value << std::endl; }
  std::string value;
};

std::map<std::string, std::string> dictionary = {
    {"one", "eins, a text that is too long for the small string buffer"}, {"two", "zwei"}};
std::vector<long> numbers = {1, 2, 3};
thread_local std::string mood = "calm, and so long that it lies on the heap for certain";
thread_local int changes = 0;
Picky picky;

std::vector<std::string>& Journal() {
  static std::vector<std::string> journal = {"opened by " + std::to_string(Parameter("n"))};
  return journal;
}

void Show(const char* when) {
  std::cout << when << ": dictionary";
  for (const auto& [key, value] : dictionary) std::cout << ' ' << key << '=' << value << ';';
  std::cout << " numbers";
  for (const long number : numbers) std::cout << ' ' << number;
  std::cout << " mood " << mood << " changes " << changes << " journal";
  for (const std::string& line : Journal()) std::cout << ' ' << line << ';';
  std::cout << ' ' << picky.value << '\n';
}

void PassTime() { usleep(static_cast<useconds_t>(Parameter("wait")) * 1000); }

}  // namespace

int main() {
  const long n = Parameter("n");
  std::cout << "Content-Type: text/plain\n\n";
  Show("at first");
  for (long i = 0; i < n % 7; ++i) {
    dictionary["key " + std::to_string(n) + "." + std::to_string(i)] = std::string(30 + i, 'x');
    numbers.push_back(n + i);
    if (i == 3) PassTime();
  }
  mood = "changed by " + std::to_string(n);
  ++changes;
  Journal().push_back("entry of " + std::to_string(n));
  PassTime();
  try {
    PassTime();
    throw std::runtime_error("thrown by " + std::to_string(n));
  } catch (const std::exception& error) {
    PassTime();
    std::cout << "caught: " << error.what() << '\n';
  }
  Show("at last");
  return n % 11 == 0 ? 1 : 0;
}
