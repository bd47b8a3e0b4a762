// RecordReader: takes the bytes of a FastCGI connection apart into records, however they come.
// Push-style, for both sides of the protocol; what the records mean is the caller's. No I/O, and no
// memory that grows.
#ifndef COGI_CGI_FCGI_RECORD_READER_H_
#define COGI_CGI_FCGI_RECORD_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cgi/export.h"
#include "cgi/fcgi_record.h"

namespace cogi::cgi::fcgi {

class COGI_API RecordReader {
 public:
  // A record's header, as it came: nothing of it is checked (3.3).
  struct Header {
    uint8_t version = 0;
    Type type{};
    uint16_t id = 0;
    uint16_t content = 0;  // bytes
    uint8_t padding = 0;   // bytes
  };

  enum class Part : uint8_t {
    kNone,     // nothing more without further bytes
    kHeader,   // header() is that of the next record
    kContent,  // a piece of its content, not empty
    kEnd,      // its content is complete; the padding may still be due
  };

  // Next() takes bytes off the front of `in` up to the next part, which it returns. A piece of
  // content is `*content`, part of what was `in`.
  [[nodiscard]] Part Next(std::string_view& in, std::string_view* content);

  [[nodiscard]] const Header& header() const { return header_; }
  // ending() is true if the next part is kEnd, for which no further bytes are needed.
  [[nodiscard]] bool ending() const { return in_record_ && content_left_ == 0; }
  // between_records() is true if nothing of a record has come that is not complete.
  [[nodiscard]] bool between_records() const {
    return have_ == 0 && !in_record_ && padding_left_ == 0;
  }

 private:
  void TakeHeader();

  Header header_;
  char bytes_[kHeaderSize];  // of a header
  uint8_t have_ = 0;         // of bytes_
  bool in_record_ = false;
  uint16_t content_left_ = 0;
  uint16_t padding_left_ = 0;
};

}  // namespace cogi::cgi::fcgi

#endif  // COGI_CGI_FCGI_RECORD_READER_H_
