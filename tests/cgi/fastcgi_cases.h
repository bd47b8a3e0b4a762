// What a FastCGI front end makes of what a web server may send, right and wrong. For every front
// end that there is.
#ifndef COGI_TESTS_CGI_FASTCGI_CASES_H_
#define COGI_TESTS_CGI_FASTCGI_CASES_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "tests/cgi/fcgi_peer.h"

namespace cogi::cgi::fcgi {

// A GetRequest() after one of these is answered all the same.
struct Case {
  const char* name;
  std::string bytes;
  const char* code;  // of the refusal; "": none
  int handled;       // requests that reached the handler
  bool goes_on;      // the connection serves another request
};

inline void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

inline constexpr uint16_t kId = 1;
inline constexpr uint8_t kGetValuesType = 9;

inline std::string Open(bool keep = true) { return Begin(kId, keep); }
inline std::string OpenPost(size_t length) {
  return Open() + ParamRecords(kId, PostParams(length));
}
inline std::string BadBegin(size_t size) {
  return Record(Type::kBeginRequest, kId, std::string(size, '\1'));
}
inline std::string OtherRole(uint16_t role, bool keep) {
  return Begin(7, keep, static_cast<Role>(role));
}
inline std::string RawParams(std::string_view bytes) {
  return Open() + Record(Type::kParams, kId, bytes) + Record(Type::kParams, kId, "");
}
inline std::string TwoRecords(const Params& params, size_t at) {
  std::string bytes = ParamBytes(params);
  return Open() + Record(Type::kParams, kId, bytes.substr(0, at), 3) +
         Record(Type::kParams, kId, bytes.substr(at), 5) + Record(Type::kParams, kId, "") +
         StdinRecords(kId, "");
}

inline const Case kCases[] = {
    {"Get", GetRequest(kId, true), "", 1, true},
    {"GetWithoutKeep", GetRequest(kId, false), "", 1, false},
    {"HighestId", GetRequest(65535, true), "", 1, true},
    {"Post", PostRequest(kId, true, "abcdef"), "", 1, true},
    {"PostSplitBody",
     OpenPost(6) + Record(Type::kStdin, kId, "abc", 7) + Record(Type::kStdin, kId, "def", 1) +
         Record(Type::kStdin, kId, "", 9),
     "", 1, true},
    {"UnknownFlags",
     Record(Type::kBeginRequest, kId, std::string("\0\1\xff\5\5\5\5\5", 8)) +
         ParamRecords(kId, GetParams()) + StdinRecords(kId, ""),
     "", 1, true},
    {"NonZeroPadding",
     Open() + Record(kVersion, 4, kId, ParamBytes(GetParams()), 255, 'x') +
         Record(Type::kParams, kId, "", 200) + StdinRecords(kId, ""),
     "", 1, true},
    {"LargestRecordWithPadding",
     OpenPost(65535) + Record(Type::kStdin, kId, std::string(65535, 'x'), 255) +
         Record(Type::kStdin, kId, ""),
     "", 1, true},
    // Versions, ids, lengths (3.3, 5.1).
    {"VersionZero", Record(0, 1, kId, std::string(8, '\0')), "fcgi_bad_version", 0, false},
    {"VersionTwo", Record(2, 1, kId, std::string(8, '\0')), "fcgi_bad_version", 0, false},
    {"BeginEmpty", BadBegin(0), "fcgi_bad_record", 0, false},
    {"BeginSeven", BadBegin(7), "fcgi_bad_record", 0, false},
    {"BeginNine", BadBegin(9), "fcgi_bad_record", 0, false},
    {"BeginHuge", BadBegin(65535), "fcgi_bad_record", 0, false},
    {"BeginIdZero", Record(Type::kBeginRequest, 0, std::string(8, '\1')), "fcgi_bad_record", 0,
     false},
    {"ParamsIdZero", Open() + Record(Type::kParams, 0, ""), "fcgi_bad_record", 0, false},
    {"StdinIdZero", Record(Type::kStdin, 0, "a"), "fcgi_bad_record", 0, false},
    {"UnknownTypeWithId", Open() + Record(kVersion, 12, kId, ""), "fcgi_bad_record", 0, false},
    {"GetValuesWithId", Record(Type::kGetValues, kId, ""), "fcgi_bad_record", 0, false},
    {"StdoutFromPeer", Open() + Record(Type::kStdout, kId, "x"), "fcgi_bad_record", 0, false},
    {"EndFromPeer", Open() + Record(Type::kEndRequest, kId, std::string(8, '\0')),
     "fcgi_bad_record", 0, false},
    {"OtherIdIgnored", Record(Type::kStdin, 9, "abc") + GetRequest(kId, true), "", 1, true},
    {"AbortOfUnknownIgnored", Record(Type::kAbortRequest, 9, ""), "", 0, true},
    {"SameIdTwice", Open() + Open(), "fcgi_bad_record", 0, false},
    // Order of the streams.
    {"StdinBeforeParamsEnd", Open() + Record(Type::kStdin, kId, "a"), "fcgi_bad_record", 0, false},
    {"DataForResponder", OpenPost(1) + Record(Type::kData, kId, "a"), "fcgi_bad_record", 1, false},
    {"ParamsAfterEnd", OpenPost(1) + Record(Type::kParams, kId, "a"), "fcgi_bad_record", 1, false},
    // Roles (5.5).
    {"RoleZero", OtherRole(0, true), "", 0, true},
    {"RoleFour", OtherRole(4, true), "", 0, true},
    {"RoleHuge", OtherRole(65535, true) + ParamRecords(7, GetParams()) + StdinRecords(7, "x"), "",
     0, true},
    {"RoleUnknownWithoutKeep", OtherRole(9, false), "fcgi_refused", 0, false},
    {"Authorizer",
     Begin(kId, true, Role::kAuthorizer) + ParamRecords(kId, GetParams()) +
         Record(Type::kStdin, kId, ""),
     "", 1, true},
    {"Filter",
     Begin(kId, true, Role::kFilter) + ParamRecords(kId, PostParams(3)) + StdinRecords(kId, "abc") +
         Record(Type::kData, kId, "file") + Record(Type::kData, kId, ""),
     "", 1, true},
    // Parameters (3.4).
    {"ParamsHugeLengths", RawParams(std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8)),
     "fcgi_params_limit", 0, false},
    {"ParamsHugeName", RawParams(std::string("\xff\xff\xff\xff\0", 5)), "fcgi_params_limit", 0,
     false},
    {"ParamsEndInPair", RawParams(std::string("\5\5abc", 5)), "fcgi_bad_record", 0, false},
    {"ParamsEndInLength", RawParams(std::string("\x80\0\0", 3)), "fcgi_bad_record", 0, false},
    {"ParamsEmpty", Open() + Record(Type::kParams, kId, ""), "fcgi_no_method", 0, true},
    {"ParamsBadNamesDropped",
     Open() +
         ParamRecords(kId, {{"", "x"},
                            {"A=B", "x"},
                            {std::string("A\0B", 3), "x"},
                            {"REQUEST_METHOD", "GET"},
                            {"N", std::string("a\0b", 3)}}) +
         StdinRecords(kId, ""),
     "", 1, true},
    {"PathAboveRoot",
     Open() + ParamRecords(kId, {{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", "/../x"}}) +
         StdinRecords(kId, ""),
     "bad_path", 0, true},
    // Bodies.
    {"BodyShorter", OpenPost(10) + StdinRecords(kId, "abc"), "truncated_body", 1, true},
    {"BodyLonger", OpenPost(2) + StdinRecords(kId, "abcdef"), "", 1, true},
    {"BodyOverLimit", OpenPost(1 << 30) + StdinRecords(kId, "abc"), "body_too_large", 0, true},
    // Abort (5.4).
    {"AbortInParams", Open() + Record(Type::kAbortRequest, kId, ""), "", 0, true},
    {"AbortInBody",
     OpenPost(9) + Record(Type::kStdin, kId, "a") + Record(Type::kAbortRequest, kId, ""), "", 1,
     true},
    // Management (4).
    {"UnknownType", Record(kVersion, 99, 0, "abc", 5), "", 0, true},
    {"TypeZero", Record(kVersion, 0, 0, ""), "", 0, true},
    {"GetValuesMalformed", Record(kVersion, kGetValuesType, 0, "\x09\1abc"), "fcgi_bad_record", 0,
     false},
};

}  // namespace cogi::cgi::fcgi

#endif  // COGI_TESTS_CGI_FASTCGI_CASES_H_
