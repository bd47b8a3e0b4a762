#include "server/tls_variables.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "server/text.h"

namespace cogi::server {
namespace {

// More alternative names than this are left out: a certificate may have thousands.
constexpr int kMostNames = 16;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Text = std::unique_ptr<BIO, FreeBio>;

std::string TextOf(const Text& bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return size > 0 ? std::string(bytes, static_cast<size_t>(size)) : std::string();
}

// Control characters, NUL above all, are escaped by these: a name must not end early.
constexpr unsigned long kNameFlags = XN_FLAG_RFC2253;
constexpr unsigned long kPartFlags =
    ASN1_STRFLGS_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_2253);

std::string NameText(const X509_NAME* name) {
  const Text bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, kNameFlags) < 0) return "";
  return TextOf(bio);
}

std::string StringText(const ASN1_STRING* string) {
  const Text bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || ASN1_STRING_print_ex(bio.get(), string, kPartFlags) < 0) return "";
  return TextOf(bio);
}

std::string TimeText(const ASN1_TIME* time) {
  const Text bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || ASN1_TIME_print(bio.get(), time) != 1) return "";
  return TextOf(bio);
}

void AddName(cgi::FieldList& variables, std::string_view prefix, const X509_NAME* name) {
  static constexpr struct {
    const char* suffix;
    int kind;
  } kParts[] = {{"_C", NID_countryName},
                {"_ST", NID_stateOrProvinceName},
                {"_L", NID_localityName},
                {"_O", NID_organizationName},
                {"_OU", NID_organizationalUnitName},
                {"_CN", NID_commonName},
                {"_Email", NID_pkcs9_emailAddress}};
  variables.Add(prefix, NameText(name));
  for (const auto& part : kParts) {
    const int at = X509_NAME_get_index_by_NID(name, part.kind, -1);
    if (at < 0) continue;
    const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    variables.Add(Concat(prefix, part.suffix), StringText(value));
  }
}

void AddAlternativeNames(cgi::FieldList& variables, const X509* certificate) {
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  int dns = 0;
  int email = 0;
  for (int at = 0; at < sk_GENERAL_NAME_num(names); ++at) {
    int kind = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, at), &kind);
    const auto* text = static_cast<const ASN1_STRING*>(value);
    if (kind == GEN_DNS && dns < kMostNames)
      variables.Add(Concat("SSL_CLIENT_SAN_DNS_", dns++), StringText(text));
    if (kind == GEN_EMAIL && email < kMostNames)
      variables.Add(Concat("SSL_CLIENT_SAN_Email_", email++), StringText(text));
  }
  GENERAL_NAMES_free(names);
}

std::string SerialText(const X509* certificate) {
  BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  char* digits = number == nullptr ? nullptr : BN_bn2hex(number);
  std::string text = digits == nullptr ? "" : digits;
  OPENSSL_free(digits);
  BN_free(number);
  return text;
}

void AddClient(cgi::FieldList& variables, const X509* certificate) {
  variables.Add("SSL_CLIENT_M_VERSION", Concat(X509_get_version(certificate) + 1));
  variables.Add("SSL_CLIENT_M_SERIAL", SerialText(certificate));
  variables.Add("SSL_CLIENT_V_START", TimeText(X509_get0_notBefore(certificate)));
  variables.Add("SSL_CLIENT_V_END", TimeText(X509_get0_notAfter(certificate)));
  int days = 0;
  int seconds = 0;
  if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate)) == 1)
    variables.Add("SSL_CLIENT_V_REMAIN", Concat(days < 0 ? 0 : days));
  AddName(variables, "SSL_CLIENT_S_DN", X509_get_subject_name(certificate));
  AddName(variables, "SSL_CLIENT_I_DN", X509_get_issuer_name(certificate));
  AddAlternativeNames(variables, certificate);
}

}  // namespace

void AddTlsVariables(const SSL* ssl, cgi::FieldList& variables) {
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  int algorithm_bits = 0;
  const int used_bits = SSL_CIPHER_get_bits(cipher, &algorithm_bits);
  variables.Add("SSL_PROTOCOL", SSL_get_version(ssl));
  variables.Add("SSL_CIPHER", SSL_CIPHER_get_name(cipher));
  variables.Add("SSL_CIPHER_USEKEYSIZE", Concat(used_bits));
  variables.Add("SSL_CIPHER_ALGKEYSIZE", Concat(algorithm_bits));
  variables.Add("SSL_SESSION_RESUMED", SSL_session_reused(ssl) == 1 ? "Resumed" : "Initial");
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) variables.Add("SSL_TLS_SNI", name);
  const X509* client = SSL_get0_peer_certificate(ssl);
  variables.Add("SSL_CLIENT_VERIFY", client == nullptr ? "NONE" : "SUCCESS");
  if (client != nullptr) AddClient(variables, client);
}

}  // namespace cogi::server
