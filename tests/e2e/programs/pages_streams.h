// The pages of pages.c over iostreams: for a C++ CGI program, and for one over fcgio.h.
#ifndef COGI_TESTS_E2E_PROGRAMS_PAGES_STREAMS_H_
#define COGI_TESTS_E2E_PROGRAMS_PAGES_STREAMS_H_

#include <unistd.h>

#include <istream>
#include <ostream>
#include <string>
#include <string_view>

class Pages {
 public:
  Pages(std::istream& in, std::ostream& out, char** environment)
      : in_(in), out_(out), environment_(environment) {}

  void Answer() {
    const std::string_view page = Variable("PATH_INFO");
    out_ << "Content-Type: application/octet-stream\r\n\r\n";
    if (page == "/echo") return Echo();
    if (page == "/environment") return Environment();
    if (page == "/lines") return Lines(std::string(Variable("QUERY_STRING")));
    Endless();
  }

 private:
  std::string_view Variable(std::string_view name) const {
    for (char** each = environment_; *each != nullptr; ++each) {
      const std::string_view variable = *each;
      if (variable.starts_with(name) && variable.substr(name.size()).starts_with('='))
        return variable.substr(name.size() + 1);
    }
    return {};
  }

  void Echo() {
    if (in_.peek() != std::istream::traits_type::eof()) out_ << in_.rdbuf();
  }

  void Environment() {
    for (char** each = environment_; *each != nullptr; ++each) out_ << *each << '\n';
  }

  void Lines(const std::string& folder) {
    for (int number = 1; number <= 5 && out_; ++number) {
      out_ << number << " of 5" << std::endl;
      const std::string path = folder + '/' + std::to_string(number);
      for (int waits = 0; access(path.c_str(), F_OK) != 0 && waits < 2000; ++waits) usleep(5000);
    }
  }

  void Endless() {
    const std::string piece(8192, 'y');
    while (out_ << piece) continue;
  }

  std::istream& in_;
  std::ostream& out_;
  char** environment_;
};

#endif  // COGI_TESTS_E2E_PROGRAMS_PAGES_STREAMS_H_
