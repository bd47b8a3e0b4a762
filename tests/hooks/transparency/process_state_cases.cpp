#include <pthread.h>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

// The key of a case, deleted at its end.
class KeyOwner {
 public:
  KeyOwner() { made_ = pthread_key_create(&key_, nullptr) == 0; }
  ~KeyOwner() {
    if (made_) pthread_key_delete(key_);
  }
  KeyOwner(const KeyOwner&) = delete;
  KeyOwner& operator=(const KeyOwner&) = delete;
  [[nodiscard]] pthread_key_t key() const { return key_; }

 private:
  pthread_key_t key_{};
  bool made_;
};

TRANSPARENT(pthread_key_create, "a new key has no value") {
  const KeyOwner owner;
  return {pthread_getspecific(owner.key()) == nullptr, 0, ""};
}
TRANSPARENT(pthread_key_create, "as many as there may be") {
  std::vector<pthread_key_t> keys;
  pthread_key_t key;
  int error = 0;
  while ((error = pthread_key_create(&key, nullptr)) == 0) keys.push_back(key);
  for (const pthread_key_t one : keys) pthread_key_delete(one);
  return {error, 0, std::to_string(keys.size() > 500)};
}
TRANSPARENT(pthread_key_delete, "twice, and a number that is no key") {
  pthread_key_t key;
  pthread_key_create(&key, nullptr);
  const int first = pthread_key_delete(key), second = pthread_key_delete(key);
  return {first * 10000 + second * 100 + pthread_key_delete(100000), 0, ""};
}
TRANSPARENT(pthread_getspecific, "what was set, after a wait") {
  const KeyOwner owner;
  static int value;
  pthread_setspecific(owner.key(), &value);
  usleep(2'000);
  return {pthread_getspecific(owner.key()) == &value, 0, ""};
}
TRANSPARENT(pthread_setspecific,
            "a key that does not exist; a number that comes again has no value") {
  pthread_key_t key;
  pthread_key_create(&key, nullptr);
  static int value;
  pthread_setspecific(key, &value);
  pthread_key_delete(key);
  const int deleted = pthread_setspecific(key, &value);
  const KeyOwner again;
  return {deleted, 0,
          std::to_string(pthread_setspecific(100000, &value)) +
              (pthread_getspecific(again.key()) == nullptr ? " fresh" : " stale")};
}

}  // namespace
}  // namespace cogi::hooks::transparency
