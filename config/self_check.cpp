// "self_check" of a pool: what a new worker asks itself before it serves.
#include <algorithm>

#include "config/sections.h"

namespace cogi::config {
namespace {

constexpr const char* kPathExpected =
    "expected a path, perhaps with a query, encoded as a client sends it: \"/ping?deep=1\"";

bool IsVisible(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool IsTarget(const std::string& text) {
  return text.starts_with('/') && text.find('#') == std::string::npos && IsVisible(text);
}

}  // namespace

void ReadSelfCheck(const Source& source, Object& pool, std::vector<SelfCheck>& checks) {
  pool.ForEach("self_check", [&](const Node& node, const std::string& pointer) {
    SelfCheck check;
    if (node.kind == Node::Kind::kString) {
      check.target = node.string;
      if (!IsTarget(check.target))
        throw source.document.ErrorAt(node.offset, pointer, kPathExpected);
    } else {
      Object object(source.document, node, pointer);
      object.Read("path", check.target);
      object.Read("host", check.host);
      uint32_t status = check.status;
      object.Read("status", status, 200, 599);
      check.status = static_cast<uint16_t>(status);
      object.Done();
      if (!IsTarget(check.target)) object.Refuse("path", kPathExpected);
      if (!IsVisible(check.host)) object.Refuse("host", "expected a host such as \"example.org\"");
    }
    checks.push_back(std::move(check));
  });
}

}  // namespace cogi::config
