// Calls of unmodified client libraries, as the distribution built them, in many coroutines of one
// thread.
//
//   hooks_clients SERVICE ADDRESS COUNT shared|private
//   hooks_clients upstream
//
// Each coroutine connects; when all have, each makes a call that takes 100 ms at the server, and
// the time from the first call to the last answer is what counts. Prints "one SECONDS all SECONDS
// correct NUMBER". The thread that runs the coroutines is the process's first.
//
// `upstream` is an HTTP server, in coroutines as well, that answers "slow QUERY" after 100 ms. It
// prints its port.
#include <arpa/inet.h>
#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <mariadb/mysql.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "coroutine/scheduler.h"
#include "coroutine/sync.h"

namespace {

// Ask makes the call that takes 100 ms, over a connection that it owns; true if the answer is
// right. Connect makes the connection; an empty Ask if it fails.
using Ask = std::function<bool(int number)>;
using Connect = std::function<Ask(const std::string& address)>;

template <class Handle, class Close>
auto Own(Handle* handle, Close close) {
  return std::unique_ptr<Handle, Close>(handle, close);
}
template <class Handle, class Close>
auto Share(Handle* handle, Close close) {
  return std::shared_ptr<Handle>(handle, close);
}

Ask ConnectMariaDb(const std::string& address) {
  const auto connection = Share(mysql_init(nullptr), mysql_close);
  if (mysql_real_connect(connection.get(), nullptr, "root", "", nullptr, 0, address.c_str(), 0) ==
      nullptr) {
    fprintf(stderr, "MariaDB: %s\n", mysql_error(connection.get()));
    return {};
  }
  return [connection](int number) {
    const std::string query = "SELECT SLEEP(0.1), " + std::to_string(number);
    if (mysql_query(connection.get(), query.c_str()) != 0) return false;
    const auto result = Own(mysql_store_result(connection.get()), mysql_free_result);
    if (result == nullptr) return false;
    MYSQL_ROW row = mysql_fetch_row(result.get());
    return row != nullptr && row[1] == std::to_string(number);
  };
}

Ask ConnectPostgres(const std::string& address) {
  const std::string target = "host=" + address + " dbname=postgres user=postgres";
  const auto connection = Share(PQconnectdb(target.c_str()), PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    fprintf(stderr, "PostgreSQL: %s\n", PQerrorMessage(connection.get()));
    return {};
  }
  return [connection](int number) {
    const std::string query = "SELECT pg_sleep(0.1), " + std::to_string(number);
    const auto result = Own(PQexec(connection.get(), query.c_str()), PQclear);
    return PQresultStatus(result.get()) == PGRES_TUPLES_OK &&
           PQgetvalue(result.get(), 0, 1) == std::to_string(number);
  };
}

Ask ConnectRedis(const std::string& address) {
  const auto connection = Share(redisConnectUnix(address.c_str()), redisFree);
  if (connection == nullptr || connection->err != 0) {
    fprintf(stderr, "Redis: %s\n", connection == nullptr ? "no memory" : connection->errstr);
    return {};
  }
  return [connection](int number) {
    const auto ask = [&](const char* format, auto... values) {
      return Own(static_cast<redisReply*>(redisCommand(connection.get(), format, values...)),
                 [](redisReply* reply) { freeReplyObject(reply); });
    };
    const auto waited = ask("BLPOP none:%d 0.1", number);
    const auto set = ask("SET key:%d %d", number, number);
    const auto got = ask("GET key:%d", number);
    return waited != nullptr && waited->type == REDIS_REPLY_NIL && set != nullptr &&
           got != nullptr && got->type == REDIS_REPLY_STRING && got->str == std::to_string(number);
  };
}

size_t Append(char* data, size_t size, size_t count, void* body) {
  static_cast<std::string*>(body)->append(data, size * count);
  return size * count;
}

// The body is on the heap: on a shared stack nobody else may write to a local.
std::string Get(CURL* curl, const std::string& url) {
  const auto body = std::make_unique<std::string>();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, body.get());
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) fprintf(stderr, "curl: %s\n", curl_easy_strerror(code));
  return code == CURLE_OK ? *body : "";
}

// `address` is "URL CAFILE". The connection is made by a request that nginx answers itself.
Ask ConnectHttps(const std::string& address) {
  const size_t space = address.find(' ');
  const std::string url = address.substr(0, space), authority = address.substr(space + 1);
  const auto curl = Share(curl_easy_init(), curl_easy_cleanup);
  curl_easy_setopt(curl.get(), CURLOPT_CAINFO, authority.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Append);
  if (Get(curl.get(), url + "ready") != "ready\n") return {};
  return [curl, url](int number) {
    const std::string text = std::to_string(number);
    if (Get(curl.get(), url + "?" + text) != "slow " + text + "\n") return false;
    long connections = -1;  // made for this request
    return curl_easy_getinfo(curl.get(), CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK &&
           connections == 0;
  };
}

// There is no connection: every question goes to the servers of COGI_RESOLV_CONF.
Ask ConnectDns(const std::string&) {
  return [](int number) {
    const std::string name = "host" + std::to_string(number % 500) + ".example.test";
    addrinfo hints{}, *list = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (const int outcome = getaddrinfo(name.c_str(), "80", &hints, &list); outcome != 0) {
      fprintf(stderr, "DNS: %s: %s\n", name.c_str(), gai_strerror(outcome));
      return false;
    }
    char digits[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(list->ai_addr)->sin_addr, digits,
              sizeof digits);
    const bool alone = list->ai_next == nullptr;
    freeaddrinfo(list);
    return alone && digits == "192.0.2." + std::to_string(number % 250 + 1);
  };
}

using Clock = std::chrono::steady_clock;

// Makes `count` calls at once, numbered from `first` on, over as many connections. Returns the
// seconds that the calls took.
double CallAll(cogi::coroutine::Scheduler& scheduler, const Connect& connect,
               const std::string& address, int first, int count, cogi::coroutine::StackMode mode,
               int& correct) {
  int connected = 0, answered = 0;
  Clock::time_point start, end;
  cogi::coroutine::ConditionVariable all;
  cogi::coroutine::Mutex mutex;
  const auto wait_for_all = [&](int& arrived, Clock::time_point& last) {
    const std::lock_guard lock(mutex);
    last = Clock::now();
    if (++arrived == count) all.NotifyAll();
    while (arrived < count) static_cast<void>(all.Wait(mutex));
  };
  for (int number = first; number < first + count; ++number) {
    scheduler.Spawn(
        [&, number] {
          const Ask ask = connect(address);
          wait_for_all(connected, start);
          correct += ask != nullptr && ask(number);
          wait_for_all(answered, end);  // no connection ends meanwhile, which costs its server
        },
        {.stack_mode = mode});
  }
  scheduler.Run();
  return std::chrono::duration<double>(end - start).count();
}

int RunAll(const Connect& connect, const std::string& address, int count,
           cogi::coroutine::StackMode mode) {
  cogi::coroutine::Scheduler scheduler;
  int correct = 0;
  const double one = CallAll(scheduler, connect, address, 0, 1, mode, correct);
  const double all = CallAll(scheduler, connect, address, 1, count, mode, correct);
  printf("one %.3f all %.3f correct %d\n", one, all, correct);
  return correct == count + 1 ? 0 : 1;
}

// Answers one request, in HTTP/1.0: the end of the connection is the end of the body.
void AnswerSlowly(int fd) {
  std::string request;
  char piece[2048];
  while (request.find("\r\n\r\n") == request.npos) {
    const ssize_t got = read(fd, piece, sizeof piece);
    if (got <= 0) break;
    request.append(piece, static_cast<size_t>(got));
  }
  const size_t query = request.find('?'), query_end = request.find(' ', query);
  usleep(100'000);
  if (query != request.npos) {
    const std::string answer =
        "HTTP/1.0 200 OK\r\n\r\nslow " + request.substr(query + 1, query_end - query - 1) + "\n";
    if (write(fd, answer.data(), answer.size()) < 0) perror("upstream");
  }
  close(fd);
}

int ServeUpstream() {
  cogi::coroutine::Scheduler scheduler;
  scheduler.Spawn([&] {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener, 1024) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      return perror("upstream");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
      const int fd = accept(listener, nullptr, nullptr);
      if (fd >= 0) cogi::coroutine::Go([fd] { AnswerSlowly(fd); });
    }
  });
  scheduler.Run();
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "upstream") == 0) return ServeUpstream();
  if (argc != 5) {
    fprintf(stderr,
            "usage: %s mariadb|postgres|redis|https|dns ADDRESS COUNT shared|private\n"
            "       %s upstream\n",
            argv[0], argv[0]);
    return 2;
  }
  const std::string service = argv[1];
  const auto mode = strcmp(argv[4], "shared") == 0 ? cogi::coroutine::StackMode::kShared
                                                   : cogi::coroutine::StackMode::kPrivate;
  mysql_library_init(0, nullptr, nullptr);
  curl_global_init(CURL_GLOBAL_ALL);
  const Connect connect = service == "mariadb"    ? ConnectMariaDb
                          : service == "postgres" ? ConnectPostgres
                          : service == "redis"    ? ConnectRedis
                          : service == "dns"      ? ConnectDns
                                                  : ConnectHttps;
  return RunAll(connect, argv[2], atoi(argv[3]), mode);
}
