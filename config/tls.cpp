// "tls" of a listener.
#include "config/sections.h"

namespace cogi::config {
namespace {

void ReadPem(const Source& source, Object& object, std::string_view key, std::string& file) {
  object.Read(key, file);
  if (file.empty()) return;
  file = source.Absolute(file);
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) object.Refuse(key, "no such file: " + file);
}

// "certificate" and "key" of `object`; nothing is added if it has neither.
void ReadCertificate(const Source& source, Object& object, Tls& tls) {
  Tls::Certificate certificate;
  ReadPem(source, object, "certificate", certificate.file);
  ReadPem(source, object, "key", certificate.key);
  if (certificate.file.empty() && certificate.key.empty()) return;
  if (certificate.file.empty() || certificate.key.empty())
    object.Refuse("", "needs \"certificate\" and \"key\", two PEM files");
  tls.certificates.push_back(std::move(certificate));
}

void ReadCertificates(const Source& source, Object& object, Tls& tls) {
  ReadCertificate(source, object, tls);
  const bool one = !tls.certificates.empty();
  object.ForEach("certificates", [&](const Node& node, const std::string& pointer) {
    if (one) object.Refuse("certificates", "stands beside \"certificate\"; put all into one list");
    Object item(source.document, node, pointer);
    const size_t before = tls.certificates.size();
    ReadCertificate(source, item, tls);
    item.Done();
    if (tls.certificates.size() == before)
      item.Refuse("", "needs \"certificate\" and \"key\", two PEM files");
  });
}

void ReadClient(const Source& source, Object& object, Tls& tls) {
  ReadPem(source, object, "client_ca", tls.client_ca);
  if (!tls.client_ca.empty()) tls.client = Tls::Client::kRequired;
  object.ReadEnum<Tls::Client>(
      "client", tls.client,
      {{"optional", Tls::Client::kOptional}, {"required", Tls::Client::kRequired}});
  if (tls.client_ca.empty() && object.Find("client") != nullptr)
    object.Refuse("client",
                  "needs \"client_ca\", the PEM file of those whose certificates are accepted");
}

}  // namespace

void ReadTls(const Source& source, Object& object, Listener& listener) {
  ReadGroup(object, "tls", [&](Object& group) {
    ReadCertificates(source, group, listener.tls);
    ReadClient(source, group, listener.tls);
    group.Done();
    if (!listener.tls.has_certificate())
      group.Refuse("", "needs \"certificate\" and \"key\", two PEM files");
  });
  const bool https = listener.protocol == Protocol::kHttps;
  if (https && !listener.tls.has_certificate())
    object.Refuse("", "an https listener needs \"tls\": {\"certificate\": FILE, \"key\": FILE}");
  if (!https && object.Find("tls") != nullptr) object.Refuse("tls", "belongs to an https listener");
}

}  // namespace cogi::config
