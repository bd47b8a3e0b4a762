#include "cgi/error_answer.h"

#include <string>

#include "cgi/http_status.h"

namespace cogi::cgi {

void FillErrorAnswer(Response& response, int status, const char* reason) {
  if (!response.Reset()) return;
  response.SetStatus(status);
  response.SetHeader("Content-Type", "text/plain");
  std::string text = std::to_string(status);
  text.append(" ").append(StandardReason(status)).append(": ").append(reason).append(".\n");
  response.Write(text);
}

}  // namespace cogi::cgi
