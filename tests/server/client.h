// A plain HTTP client for tests: what is sent is what the test writes, byte by byte.
#ifndef COGI_TESTS_SERVER_CLIENT_H_
#define COGI_TESTS_SERVER_CLIENT_H_

#include <string>
#include <string_view>

namespace cogi::server {

struct Answer {
  int status = 0;  // 0: there was none
  std::string head;
  std::string body;
  // Field() is the value of a header, "" if there is none; `name` as it is sent.
  [[nodiscard]] std::string Field(const std::string& name) const;
};

class Client {
 public:
  // Connects to 127.0.0.1:`port`. Reads and writes fail after ten seconds.
  explicit Client(int port);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool connected() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  // Send() writes all bytes. ReadAnswer() reads one answer: chunked, with Content-Length, or
  // without a body.
  bool Send(std::string_view bytes) const;
  [[nodiscard]] Answer ReadAnswer(bool has_body = true);
  // Ask() is a request of `method` for `path` on a kept connection and its answer.
  [[nodiscard]] Answer Ask(const std::string& path, const std::string& method = "GET",
                           const std::string& fields = "", const std::string& body = "");
  // Take() reads up to `size` bytes and drops them. How many, 0 at the end or after a reset.
  size_t Take(size_t size);
  // Reset() ends the connection by a reset, as a client that has crashed.
  void Reset();
  // AtEnd() waits for the server to close the connection. False if bytes come, or it does not.
  [[nodiscard]] bool AtEnd();

 private:
  bool Fill();
  bool TakeChunks(std::string& body);
  int fd_ = -1;
  std::string buffer_;
};

// Ask() on a connection of its own.
[[nodiscard]] Answer Ask(int port, const std::string& path, const std::string& method = "GET",
                         const std::string& fields = "", const std::string& body = "");

}  // namespace cogi::server

#endif  // COGI_TESTS_SERVER_CLIENT_H_
