// LintRule: a call that a program makes and that its module cannot keep to its own request.
#ifndef COGI_SERVER_PROGRAM_LINT_RULES_H_
#define COGI_SERVER_PROGRAM_LINT_RULES_H_

#include <span>
#include <string_view>

namespace cogi::server {

struct LintRule {
  // What kind of trouble: "thread", "blocks", "shared", "worker".
  std::string_view kind;
  // The names, separated by spaces; one that ends in '*' stands for all that begin so.
  std::string_view symbols;
  std::string_view what;  // what happens
  std::string_view mend;  // what to do about it
};

// LintRules() is the table. A call that libcogi.so interposes is nobody's trouble, whatever stands
// here, unless it starts a thread.
[[nodiscard]] std::span<const LintRule> LintRules();

// FindRule() is the first rule that names `symbol`, or null.
[[nodiscard]] const LintRule* FindRule(std::string_view symbol);

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_LINT_RULES_H_
