// Counts words, in C++ with iostreams and a global container. Each request finds the container as
// the constructors made it: nothing of the request before is in it.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::map<std::string, int> counts;

const std::string kSample =
    "The quick brown fox jumps over the lazy dog; the dog sleeps on, and the fox is gone.";

void CountWords(std::istream& in) {
  std::string word;
  for (std::istreambuf_iterator<char> it(in), end; it != end; ++it) {
    const auto c = static_cast<unsigned char>(*it);
    if (std::isalnum(c) != 0 || c >= 0x80) {
      word += static_cast<char>(std::tolower(c));
    } else if (!word.empty()) {
      ++counts[word];
      word.clear();
    }
  }
  if (!word.empty()) ++counts[word];
}

}  // namespace

int main() {
  const char* method = std::getenv("REQUEST_METHOD");
  if (method != nullptr && std::string(method) == "POST") {
    CountWords(std::cin);
  } else {
    std::istringstream sample(kSample);
    CountWords(sample);
  }

  std::vector<std::pair<std::string, int>> ranking(counts.begin(), counts.end());
  std::stable_sort(ranking.begin(), ranking.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });

  std::cout << "Content-Type: text/plain; charset=utf-8\r\n\r\n";
  for (const auto& [word, count] : ranking) {
    std::cout << std::setw(6) << count << "  " << word << '\n';
  }
  std::cout << std::setw(6) << ranking.size() << "  different words\n";
}
