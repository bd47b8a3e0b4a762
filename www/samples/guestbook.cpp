// A guestbook on SQLite. SQL only with bound parameters, text only escaped, POST answered by a
// redirect. The database lies outside the document root: in $GUESTBOOK_DB, else beside the root.
#include <sqlite3.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

constexpr size_t kMaxBody = 16384;
constexpr size_t kMaxName = 80;
constexpr size_t kMaxMessage = 2000;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

class Database {
 public:
  explicit Database(const std::string& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) Fail();
    sqlite3_busy_timeout(handle_, 5000);
    Run("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        " message TEXT NOT NULL, written TEXT NOT NULL DEFAULT (datetime('now')))");
  }
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void Add(const std::string& name, const std::string& message) {
    const Statement statement = Prepare("INSERT INTO entries (name, message) VALUES (?, ?)");
    sqlite3_bind_text(statement.get(), 1, name.c_str(), -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement.get(), 2, message.c_str(), -1, SQLITE_TRANSIENT);
    if (sqlite3_step(statement.get()) != SQLITE_DONE) Fail();
  }

  // ForEachEntry() visits the newest entries first: visit(name, message, time).
  template <typename Visit>
  void ForEachEntry(int limit, Visit visit) {
    const Statement statement =
        Prepare("SELECT name, message, written FROM entries ORDER BY id DESC LIMIT ?");
    sqlite3_bind_int(statement.get(), 1, limit);
    while (sqlite3_step(statement.get()) == SQLITE_ROW) {
      visit(Text(statement, 0), Text(statement, 1), Text(statement, 2));
    }
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

  static std::string_view Text(const Statement& statement, int column) {
    return reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), column));
  }
  Statement Prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr) != SQLITE_OK) Fail();
    return Statement(statement);
  }
  void Run(const char* sql) {
    if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) Fail();
  }
  [[noreturn]] void Fail() { throw std::runtime_error(sqlite3_errmsg(handle_)); }

  sqlite3* handle_ = nullptr;
};

std::string Escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string UrlDecoded(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      result += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && std::isxdigit((unsigned char)text[i + 1]) &&
               std::isxdigit((unsigned char)text[i + 2])) {
      result += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

// Field() is the decoded value of `name` in a urlencoded form; "" if it is not there.
std::string Field(std::string_view form, std::string_view name) {
  while (!form.empty()) {
    const std::string_view pair = form.substr(0, form.find('&'));
    form.remove_prefix(std::min(form.size(), pair.size() + 1));
    if (pair.substr(0, pair.find('=')) == name && pair.size() > name.size()) {
      return UrlDecoded(pair.substr(name.size() + 1));
    }
  }
  return {};
}

void ShowPage(Database& database) {
  std::cout
      << "Content-Type: text/html; charset=utf-8\r\n\r\n"
         "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<title>Guestbook</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n"
         "<body>\n<main class=\"narrow\">\n<p><a href=\"/\">cogi</a></p>\n<h1>Guestbook</h1>\n"
         "<form method=\"post\">\n<label for=\"name\">Name</label>\n"
         "<input id=\"name\" name=\"name\" maxlength=\""
      << kMaxName
      << "\" required autocomplete=\"name\">\n"
         "<label for=\"message\">Message</label>\n"
         "<textarea id=\"message\" name=\"message\" rows=\"3\" maxlength=\""
      << kMaxMessage << "\" required></textarea>\n<button>Sign</button>\n</form>\n";
  database.ForEachEntry(50, [](auto name, auto message, auto written) {
    std::cout << "<article>\n<p>" << Escaped(message) << "</p>\n<footer>" << Escaped(name)
              << ", <time>" << Escaped(written) << "</time></footer>\n</article>\n";
  });
  std::cout << "</main>\n</body>\n</html>\n";
}

void Refuse(const char* status, const std::string& reason) {
  std::cout << "Status: " << status << "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
            << reason << '\n';
}

void Sign(Database& database) {
  std::string form(kMaxBody + 1, '\0');
  std::cin.read(form.data(), static_cast<std::streamsize>(form.size()));
  form.resize(static_cast<size_t>(std::cin.gcount()));
  if (form.size() > kMaxBody) return Refuse("413 Content Too Large", "That is too long.");
  const std::string name = Field(form, "name");
  const std::string message = Field(form, "message");
  if (name.empty() || message.empty() || name.size() > 4 * kMaxName ||
      message.size() > 4 * kMaxMessage) {
    return Refuse("400 Bad Request", "A name and a message, please, and not too long.");
  }
  database.Add(name, message);
  std::cout << "Status: 303 See Other\r\nLocation: " << Environment("SCRIPT_NAME") << "\r\n"
            << "Content-Type: text/plain\r\n\r\nThank you.\n";
}

std::string DatabasePath() {
  const std::string chosen = Environment("GUESTBOOK_DB");
  if (!chosen.empty()) return chosen;
  const std::string root = Environment("DOCUMENT_ROOT");
  return (root.empty() ? std::string(".") : root) + "/../guestbook.db";
}

}  // namespace

int main() {
  try {
    Database database(DatabasePath());
    if (Environment("REQUEST_METHOD") == "POST") {
      Sign(database);
    } else {
      ShowPage(database);
    }
  } catch (const std::exception& error) {
    std::cerr << "guestbook: " << DatabasePath() << ": " << error.what() << '\n';
    Refuse("500 Internal Server Error",
           "The guestbook cannot be opened. Set GUESTBOOK_DB to a file that the server may write.");
  }
}
