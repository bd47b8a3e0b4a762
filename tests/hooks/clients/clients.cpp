// Calls of unmodified client libraries, as the distribution built them, in many coroutines of one
// thread.
//
//   hooks_clients SERVICE ADDRESS COUNT shared|private
//
// Each call takes 100 ms at the server. Prints "one SECONDS all SECONDS correct NUMBER". The thread
// that runs the coroutines is the process's first.
#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <mariadb/mysql.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "coroutine/scheduler.h"

namespace {

using Call = std::function<bool(const std::string& address, int number)>;

template <class Handle, class Close>
auto Own(Handle* handle, Close close) {
  return std::unique_ptr<Handle, Close>(handle, close);
}

bool AskMariaDb(const std::string& address, int number) {
  const auto connection = Own(mysql_init(nullptr), mysql_close);
  if (mysql_real_connect(connection.get(), nullptr, "root", "", nullptr, 0, address.c_str(), 0) ==
      nullptr) {
    fprintf(stderr, "MariaDB: %s\n", mysql_error(connection.get()));
    return false;
  }
  const std::string query = "SELECT SLEEP(0.1), " + std::to_string(number);
  if (mysql_query(connection.get(), query.c_str()) != 0) return false;
  const auto result = Own(mysql_store_result(connection.get()), mysql_free_result);
  if (result == nullptr) return false;
  MYSQL_ROW row = mysql_fetch_row(result.get());
  return row != nullptr && row[1] == std::to_string(number);
}

bool AskPostgres(const std::string& address, int number) {
  const std::string target = "host=" + address + " dbname=postgres user=postgres";
  const auto connection = Own(PQconnectdb(target.c_str()), PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    fprintf(stderr, "PostgreSQL: %s\n", PQerrorMessage(connection.get()));
    return false;
  }
  const std::string query = "SELECT pg_sleep(0.1), " + std::to_string(number);
  const auto result = Own(PQexec(connection.get(), query.c_str()), PQclear);
  return PQresultStatus(result.get()) == PGRES_TUPLES_OK &&
         PQgetvalue(result.get(), 0, 1) == std::to_string(number);
}

bool AskRedis(const std::string& address, int number) {
  const auto connection = Own(redisConnectUnix(address.c_str()), redisFree);
  if (connection == nullptr || connection->err != 0) {
    fprintf(stderr, "Redis: %s\n", connection == nullptr ? "no memory" : connection->errstr);
    return false;
  }
  const auto ask = [&](const char* format, auto... values) {
    return Own(static_cast<redisReply*>(redisCommand(connection.get(), format, values...)),
               [](redisReply* reply) { freeReplyObject(reply); });
  };
  const auto waited = ask("BLPOP none:%d 0.1", number);
  const auto set = ask("SET key:%d %d", number, number);
  const auto got = ask("GET key:%d", number);
  return waited != nullptr && waited->type == REDIS_REPLY_NIL && set != nullptr && got != nullptr &&
         got->type == REDIS_REPLY_STRING && got->str == std::to_string(number);
}

size_t Append(char* data, size_t size, size_t count, void* body) {
  static_cast<std::string*>(body)->append(data, size * count);
  return size * count;
}

// `address` is "URL CAFILE". The body is on the heap: on a shared stack nobody else may write to a
// local.
bool AskHttps(const std::string& address, int number) {
  const size_t space = address.find(' ');
  const std::string url = address.substr(0, space) + "?" + std::to_string(number);
  const std::string authority = address.substr(space + 1);
  const auto curl = Own(curl_easy_init(), curl_easy_cleanup);
  const auto body = std::make_unique<std::string>();
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CAINFO, authority.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, body.get());
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    fprintf(stderr, "curl: %s\n", curl_easy_strerror(code));
    return false;
  }
  return *body == "slow " + std::to_string(number) + "\n";
}

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int RunAll(const Call& call, const std::string& address, int count,
           cogi::coroutine::StackMode mode) {
  cogi::coroutine::Scheduler scheduler;
  int correct = 0;
  const auto spawn = [&](int number) {
    scheduler.Spawn([&, number] { correct += call(address, number); }, {.stack_mode = mode});
  };
  spawn(0);
  const double one = Seconds([&] { scheduler.Run(); });
  for (int number = 1; number <= count; ++number) spawn(number);
  const double all = Seconds([&] { scheduler.Run(); });
  printf("one %.3f all %.3f correct %d\n", one, all, correct);
  return correct == count + 1 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s mariadb|postgres|redis|https ADDRESS COUNT shared|private\n",
            argv[0]);
    return 2;
  }
  const std::string service = argv[1];
  const auto mode = strcmp(argv[4], "shared") == 0 ? cogi::coroutine::StackMode::kShared
                                                   : cogi::coroutine::StackMode::kPrivate;
  mysql_library_init(0, nullptr, nullptr);
  curl_global_init(CURL_GLOBAL_ALL);
  const Call call = service == "mariadb"    ? AskMariaDb
                    : service == "postgres" ? AskPostgres
                    : service == "redis"    ? AskRedis
                                            : AskHttps;
  return RunAll(call, argv[2], atoi(argv[3]), mode);
}
