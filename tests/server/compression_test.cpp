// Compression on the way and compressed files; listings and several ranges. What comes is taken
// apart by zlib and Brotli themselves.
#include <brotli/decode.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <csignal>

#include "server/content_coding.h"
#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

std::string Gunzip(const std::string& coded) {
  z_stream stream{};
  inflateInit2(&stream, MAX_WBITS + 16);
  std::string plain(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(coded.data()));
  stream.avail_in = static_cast<uInt>(coded.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  const int result = inflate(&stream, Z_FINISH);
  plain.resize(plain.size() - stream.avail_out);
  inflateEnd(&stream);
  return result == Z_STREAM_END ? plain : "not gzip";
}

std::string Unbrotli(const std::string& coded) {
  std::string plain(1 << 20, '\0');
  size_t size = plain.size();
  const auto result =
      BrotliDecoderDecompress(coded.size(), reinterpret_cast<const uint8_t*>(coded.data()), &size,
                              reinterpret_cast<uint8_t*>(plain.data()));
  plain.resize(size);
  return result == BROTLI_DECODER_RESULT_SUCCESS ? plain : "not br";
}

std::string Text(size_t size) {
  std::string text;
  for (size_t line = 0; text.size() < size; ++line) text += "line " + std::to_string(line) + "\n";
  text.resize(size);
  return text;
}

class Compression : public ServerTest {
 protected:
  void Serve(const std::string& routes) {
    Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1,
                                       "log": {"access": "off"}, "routes": )" +
          routes + "}");
  }
  Answer Get(const std::string& path, const std::string& accept,
             const std::string& fields = "") const {
    return Ask(server_->port(), path, "GET", "Accept-Encoding: " + accept + "\r\n" + fields);
  }
};

TEST(AcceptEncoding, IsReadWithItsWeights) {
  const struct {
    const char* field;
    Coding chosen;
  } cases[] = {
      {"", Coding::kIdentity},
      {"gzip", Coding::kGzip},
      {"gzip, deflate, br", Coding::kBrotli},
      {"GZIP", Coding::kGzip},
      {"x-gzip", Coding::kGzip},
      {"gzip;q=1.0, br;q=0.9", Coding::kGzip},
      {"gzip;q=0.5, br;q=0.9", Coding::kBrotli},
      {"br;q=0, gzip", Coding::kGzip},
      {"gzip;q=0.000", Coding::kIdentity},
      {"*", Coding::kBrotli},
      {"*;q=0.1, br;q=0", Coding::kGzip},
      {"gzip;q=nonsense", Coding::kIdentity},
      {"identity", Coding::kIdentity},
      {" , ,gzip ;q=0.3 ,", Coding::kGzip},
      {"gzipped", Coding::kIdentity},
  };
  for (const auto& [field, chosen] : cases)
    EXPECT_EQ(Choose(ParseAcceptEncoding(field), true, true), chosen) << field;
  EXPECT_EQ(Choose(ParseAcceptEncoding("gzip, br"), true, false), Coding::kGzip);
  EXPECT_EQ(Choose(ParseAcceptEncoding("br"), true, false), Coding::kIdentity);
}

TEST_F(Compression, AFileIsTheSameAfterwards) {
  for (const size_t size : {1024, 5000, 70'000, 500'000})
    folder_.Write("www/" + std::to_string(size) + ".txt", Text(size));
  Serve(R"([{"path": "/", "static": "www", "compress": true}])");
  for (const size_t size : {1024, 5000, 70'000, 500'000}) {
    const std::string path = "/" + std::to_string(size) + ".txt";
    const Answer gzip = Get(path, "gzip");
    EXPECT_EQ(gzip.Field("Content-Encoding"), "gzip");
    EXPECT_LT(gzip.body.size(), size / 2);
    EXPECT_EQ(Gunzip(gzip.body), Text(size));
    const Answer brotli = Get(path, "gzip, br");
    EXPECT_EQ(brotli.Field("Content-Encoding"), "br");
    EXPECT_EQ(Unbrotli(brotli.body), Text(size));
    EXPECT_TRUE(brotli.Field("ETag").starts_with("W/\""));
    EXPECT_EQ(brotli.Field("Vary"), "Accept-Encoding");
    EXPECT_EQ(brotli.Field("Accept-Ranges"), "");
    const Answer plain = Get(path, "identity");
    EXPECT_EQ(plain.body, Text(size));
    EXPECT_EQ(plain.Field("Content-Encoding"), "");
    EXPECT_EQ(plain.Field("Vary"), "Accept-Encoding");
    EXPECT_EQ(Get(path, "gzip", "If-None-Match: " + gzip.Field("ETag") + "\r\n").status, 304);
  }
}

TEST_F(Compression, WhatGainsNothingIsLeftAlone) {
  folder_.Write("www/small.txt", Text(1023));
  folder_.Write("www/big.txt", Text(5000));
  folder_.Write("www/big.png", Text(5000));
  Serve(R"([{"path": "/", "static": "www", "compress": {"brotli": false}},
            {"path": "/kept", "static": "www", "compress": true,
             "headers": {"Cache-Control": "public, no-transform"}},
            {"path": "/only", "static": "www", "compress": {"types": ["image/png"], "level": 9}}])");
  EXPECT_EQ(Get("/small.txt", "gzip").Field("Content-Encoding"), "");
  EXPECT_EQ(Get("/big.png", "gzip").Field("Content-Encoding"), "");
  EXPECT_EQ(Get("/big.txt", "br").Field("Content-Encoding"), "");
  EXPECT_EQ(Get("/kept/big.txt", "gzip").Field("Content-Encoding"), "");
  EXPECT_EQ(Get("/only/big.txt", "gzip").Field("Content-Encoding"), "");
  EXPECT_EQ(Get("/only/big.png", "gzip").Field("Content-Encoding"), "gzip");
  const Answer part = Get("/big.txt", "gzip", "Range: bytes=0-1\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, Text(2));
}

TEST_F(Compression, HeadSaysWhatGetWouldSay) {
  folder_.Write("www/big.txt", Text(5000));
  Serve(R"([{"path": "/", "static": "www", "compress": true}])");
  Client client(server_->port());
  ASSERT_TRUE(
      client.Send("HEAD /big.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\nGET /big.txt "
                  "HTTP/1.1\r\nHost: a\r\n\r\n"));
  const Answer head = client.ReadAnswer(false);
  EXPECT_EQ(head.Field("Content-Encoding"), "gzip");
  EXPECT_EQ(head.Field("Content-Length"), "");
  EXPECT_EQ(client.ReadAnswer().body, Text(5000));
}

TEST_F(Compression, WhatAProgramSaysIsCompressedToo) {
  Serve(R"([{"path": "/", "native": "echo", "compress": {"types": ["text/*"], "min_size": 10}}])");
  const std::string fields = "Content-Type: text/plain; charset=utf-8\r\nAccept-Encoding: gzip\r\n";
  for (const size_t size : {10, 1000, 100'000}) {
    const Answer answer = Ask(server_->port(), "/", "POST", fields, Text(size));
    EXPECT_EQ(answer.Field("Content-Encoding"), "gzip") << size;
    EXPECT_EQ(Gunzip(answer.body), Text(size));
  }
  EXPECT_EQ(Ask(server_->port(), "/", "POST", fields, "short").body, "short");
}

TEST_F(Compression, ACompressedFileStandsInForThePlainOne) {
  folder_.Write("www/a.css", "plain");
  folder_.Write("www/a.css.gz", "gz of a");
  folder_.Write("www/a.css.br", "br of a");
  folder_.Write("www/old.css", "plain");
  folder_.Write("www/old.css.gz", "stale");
  const timespec times[2] = {{1'600'000'000, 0}, {1'600'000'000, 0}};
  utimensat(AT_FDCWD, (folder_ / "www/old.css.gz").c_str(), times, 0);
  Serve(R"([{"path": "/", "static": "www", "precompressed": true}])");
  const Answer brotli = Get("/a.css", "gzip, br");
  EXPECT_EQ(brotli.body, "br of a");
  EXPECT_EQ(brotli.Field("Content-Encoding"), "br");
  EXPECT_EQ(brotli.Field("Content-Type"), "text/css; charset=utf-8");
  EXPECT_EQ(brotli.Field("Vary"), "Accept-Encoding");
  EXPECT_EQ(Get("/a.css", "gzip").body, "gz of a");
  EXPECT_NE(Get("/a.css", "gzip").Field("ETag"), brotli.Field("ETag"));
  const Answer plain = Get("/a.css", "");
  EXPECT_EQ(plain.body, "plain");
  EXPECT_EQ(plain.Field("Vary"), "Accept-Encoding");
  EXPECT_EQ(Get("/old.css", "gzip").body, "plain");
  const Answer part = Get("/a.css", "br", "Range: bytes=0-1\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "br");
}

TEST_F(Compression, ADirectoryIsListedWhereThatIsAllowed) {
  folder_.Write("www/b & <c>.txt", "x");
  folder_.Write("www/dir/a.txt", "x");
  folder_.Write("www/.hidden", "x");
  folder_.Write("www/with/index.html", "own index");
  Serve(R"([{"path": "/", "static": "www", "listing": true}, {"path": "/no", "static": "www"}])");
  const Answer root = Ask(server_->port(), "/");
  EXPECT_EQ(root.status, 200);
  EXPECT_EQ(root.Field("Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(root.body.find("<a href=\"./b%20&%20%3Cc%3E.txt\">b &amp; &lt;c&gt;.txt</a>"),
            std::string::npos)
      << root.body;
  EXPECT_NE(root.body.find("<a href=\"./dir/\">dir/</a>"), std::string::npos);
  EXPECT_EQ(root.body.find("hidden"), std::string::npos);
  EXPECT_EQ(root.body.find("../"), std::string::npos);
  EXPECT_NE(Ask(server_->port(), "/dir/").body.find("../"), std::string::npos);
  EXPECT_EQ(Ask(server_->port(), "/dir").status, 301);
  EXPECT_EQ(Ask(server_->port(), "/with/").body, "own index");
  EXPECT_EQ(Ask(server_->port(), "/no/dir/").status, 403);
}

TEST_F(Compression, SeveralRangesComeAsMultipart) {
  folder_.Write("www/a.txt", Text(100'000));
  Serve(R"([{"path": "/", "static": "www"}])");
  const Answer answer =
      Ask(server_->port(), "/a.txt", "GET", "Range: bytes=0-4,50000-69999,-5\r\n");
  EXPECT_EQ(answer.status, 206);
  const std::string type = answer.Field("Content-Type");
  ASSERT_TRUE(type.starts_with("multipart/byteranges; boundary=")) << type;
  const std::string boundary = "\r\n--" + type.substr(type.find('=') + 1);
  const std::string plain = Text(100'000);
  const auto part = [&](size_t first, size_t last) {
    return boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes " +
           std::to_string(first) + "-" + std::to_string(last) + "/100000\r\n\r\n" +
           plain.substr(first, last - first + 1);
  };
  EXPECT_EQ(answer.body,
            part(0, 4) + part(50000, 69999) + part(99995, 99999) + boundary + "--\r\n");
}

}  // namespace
}  // namespace cogi::server
