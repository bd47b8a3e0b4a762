// Error: what the loader throws.
#ifndef COGI_CONFIG_ERROR_H_
#define COGI_CONFIG_ERROR_H_

#include <stdexcept>
#include <string>

namespace cogi::config {

// Error: why a configuration was refused. what() is the whole message, fit to be printed as it is:
//
//   cogi.json:7:5: /timeouts/heder: unknown key; did you mean "header"?
class Error : public std::runtime_error {
 public:
  Error(std::string file, int line, int column, std::string path, const std::string& message);

  // file() is as it was given; line() and column() count from 1 (bytes), 0: the file as a whole;
  // path() is the JSON pointer of the offending value (RFC 6901), "" for the whole document.
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] int line() const { return line_; }
  [[nodiscard]] int column() const { return column_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string file_;
  int line_;
  int column_;
  std::string path_;
};

}  // namespace cogi::config

#endif  // COGI_CONFIG_ERROR_H_
