// What the end of a program means for the answer (design: "Defaults and answers"), the same for
// programs in process and by exec.
#ifndef COGI_SERVER_PROGRAM_PROGRAM_ANSWER_H_
#define COGI_SERVER_PROGRAM_PROGRAM_ANSWER_H_

#include <string>
#include <string_view>

#include "hooks/program.h"
#include "server/program/program_handler.h"
#include "server/program/program_io.h"

namespace cogi::server {

// DirectoryOf() is the directory of a program's file.
[[nodiscard]] std::string DirectoryOf(const std::string& path);

// LogProgram() writes one line to the error log.
void LogProgram(const ProgramOptions& options, const cgi::Request& request, std::string_view line,
                ProgramLine kind);

// FailProgram() logs `reason`, and answers with an error page, or cuts the connection if something
// was sent already. May yield.
void FailProgram(const std::string& path, const ProgramOptions& options, cgi::Request& request,
                 cgi::Response& response, int status, std::string_view reason);

// AnswerProgram() does what is left to do when the program has ended with `result` after writing
// `output`: error pages, local redirect, the line about its exit status. May yield.
void AnswerProgram(const std::string& path, const ProgramOptions& options, ResponseOutput& output,
                   const hooks::ProgramResult& result, cgi::Request& request,
                   cgi::Response& response);

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_PROGRAM_ANSWER_H_
