// What an application answers over FastCGI: it has one meaning however it is split, and only open
// requests are answered.
#include <string>

#include "cgi/fcgi_client.h"
#include "tests/fuzz/fuzz.h"

namespace cogi::fuzz {
namespace {

class Recorder final : public cgi::fcgi::ResponseSink {
 public:
  void OnStdout(uint16_t id, std::string_view bytes) override { Take(id, out, bytes); }
  void OnStderr(uint16_t id, std::string_view bytes) override { Take(id, err, bytes); }
  void OnEnd(uint16_t id, uint32_t app, cgi::fcgi::ProtocolStatus status) override {
    Take(id, ends, std::to_string(app) + "/" + std::to_string(static_cast<int>(status)));
    ended[id - 1] = true;
  }
  void OnValues(const cgi::fcgi::Values& values) override {
    ends.append(" ").append(std::to_string(values.max_connections));
    ends.append(",").append(std::to_string(values.max_requests));
    ends.append(values.multiplexes ? "+" : "-");
  }

  std::string out[2], err[2], ends;
  bool ended[2] = {};

 private:
  void Take(uint16_t id, std::string* streams, std::string_view bytes) {
    Promise(id == 1 || id == 2, "only open requests are answered");
    streams[id - 1] += bytes;
  }
  void Take(uint16_t id, std::string& text, std::string_view bytes) {
    Promise(id == 1 || id == 2, "only open requests are ended");
    Promise(!ended[id - 1], "a request ends once");
    text.append(" ").append(bytes);
  }
};

std::string Meaning(std::string_view first, std::string_view second) {
  Recorder recorder;
  cgi::fcgi::ResponseReceiver receiver;
  receiver.Open(1);
  receiver.Open(2);
  for (std::string_view piece : {first, second}) {
    while (!piece.empty() && receiver.error() == nullptr) {
      size_t used = receiver.Push(piece, recorder);
      Promise(used > 0 && used <= piece.size(), "each push goes on");
      piece.remove_prefix(used);
    }
  }
  std::string error = receiver.error() == nullptr ? "" : receiver.error();
  return recorder.out[0] + "|" + recorder.out[1] + "|" + recorder.err[0] + "|" + recorder.err[1] +
         "|" + recorder.ends + "|" + error;
}

}  // namespace
}  // namespace cogi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cogi::fuzz;
  size_t split = 0;
  std::string_view bytes = Input(data, size, split);
  Promise(Meaning(bytes, {}) == Meaning(bytes.substr(0, split), bytes.substr(split)),
          "a split does not change the meaning");
  return 0;
}
