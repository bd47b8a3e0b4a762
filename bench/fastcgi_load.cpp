// A front end's load: keeps one FastCGI request under way on each of its kept connections.
//   bench_fastcgi_load SOCKET PATH CONNECTIONS SECONDS
// Prints how many answers came, and of those how many were not as the first one was; after half a
// second of warm-up.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Fail(const char* what) {
  perror(what);
  _exit(1);
}

void AppendRecord(std::string& to, uint8_t type, std::string_view content) {
  const char head[8] = {1,
                        static_cast<char>(type),
                        0,
                        1,
                        static_cast<char>(content.size() >> 8),
                        static_cast<char>(content.size()),
                        0,
                        0};
  to.append(head, sizeof head).append(content);
}

// A GET as nginx sends it by its own fastcgi_params.
std::string RequestFor(const std::string& path) {
  const std::pair<const char*, std::string> variables[] = {{"QUERY_STRING", "a=b"},
                                                           {"REQUEST_METHOD", "GET"},
                                                           {"CONTENT_TYPE", ""},
                                                           {"CONTENT_LENGTH", ""},
                                                           {"SCRIPT_NAME", path},
                                                           {"REQUEST_URI", path + "?a=b"},
                                                           {"DOCUMENT_URI", path},
                                                           {"DOCUMENT_ROOT", "/var/www/html"},
                                                           {"SERVER_PROTOCOL", "HTTP/1.1"},
                                                           {"REQUEST_SCHEME", "http"},
                                                           {"GATEWAY_INTERFACE", "CGI/1.1"},
                                                           {"SERVER_SOFTWARE", "nginx/1.22.1"},
                                                           {"REMOTE_ADDR", "127.0.0.1"},
                                                           {"REMOTE_PORT", "50000"},
                                                           {"SERVER_ADDR", "127.0.0.1"},
                                                           {"SERVER_PORT", "80"},
                                                           {"SERVER_NAME", "localhost"},
                                                           {"REDIRECT_STATUS", "200"},
                                                           {"HTTP_HOST", "localhost"}};
  std::string pairs;
  for (const auto& [name, value] : variables) {
    const std::string_view key = name;
    pairs.push_back(static_cast<char>(key.size()));
    pairs.push_back(static_cast<char>(value.size()));
    pairs.append(key).append(value);
  }
  std::string request;
  AppendRecord(request, 1, {"\0\1\1\0\0\0\0\0", 8});  // BEGIN_REQUEST: responder, keep
  AppendRecord(request, 4, pairs);
  AppendRecord(request, 4, {});
  AppendRecord(request, 5, {});
  return request;
}

int Connect(const char* path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Fail("connect");
  return fd;
}

class Connection {
 public:
  Connection(const char* socket, const std::string& request)
      : fd_(Connect(socket)), request_(request) {}
  [[nodiscard]] int fd() const { return fd_; }

  void Ask() {
    if (write(fd_, request_.data(), request_.size()) != static_cast<ssize_t>(request_.size()))
      Fail("write");
  }

  // Takes what has come; true with the output of the program when that is complete.
  bool Take() {
    char data[4096];
    const ssize_t got = read(fd_, data, sizeof data);
    if (got <= 0) Fail("read");
    bytes_.append(data, static_cast<size_t>(got));
    bool ended = false;
    for (size_t size; bytes_.size() >= 8 && bytes_.size() >= (size = RecordSize());) {
      if (bytes_[1] == 6) output_.append(bytes_, 8, ContentSize());
      ended = bytes_[1] == 3;
      bytes_.erase(0, size);
    }
    return ended;
  }
  std::string TakeOutput() { return std::exchange(output_, {}); }

 private:
  [[nodiscard]] size_t Byte(size_t at) const { return static_cast<uint8_t>(bytes_[at]); }
  [[nodiscard]] size_t ContentSize() const { return Byte(4) << 8 | Byte(5); }
  [[nodiscard]] size_t RecordSize() const { return 8 + ContentSize() + Byte(6); }

  const int fd_;
  const std::string& request_;
  std::string bytes_;
  std::string output_;
};

struct Count {
  long answers = 0;
  long wrong = 0;
};

Count Run(int epoll, Clock::time_point end) {
  static std::string right;
  Count count;
  epoll_event events[256];
  while (Clock::now() < end) {
    const int ready = epoll_wait(epoll, events, 256, 10);
    for (int i = 0; i < ready; ++i) {
      auto& connection = *static_cast<Connection*>(events[i].data.ptr);
      if (!connection.Take()) continue;
      const std::string output = connection.TakeOutput();
      if (right.empty()) right = output;
      ++count.answers;
      if (output != right || output.empty()) ++count.wrong;
      connection.Ask();
    }
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s SOCKET PATH CONNECTIONS SECONDS\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  const std::string request = RequestFor(argv[2]);
  const int epoll = epoll_create1(0);
  for (int i = 0; i < atoi(argv[3]); ++i) {
    auto* connection = new Connection(argv[1], request);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connection;
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd(), &event);
    connection->Ask();
  }
  Run(epoll, Clock::now() + std::chrono::milliseconds(500));
  printf("measuring\n");
  fflush(stdout);
  const Count count = Run(epoll, Clock::now() + std::chrono::seconds(atoi(argv[4])));
  printf("%ld %ld\n", count.answers, count.wrong);
  return 0;
}
