#include <sys/eventfd.h>
#include <sys/uio.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

std::string Text(const char* data, ssize_t size) {
  return std::string(data, size > 0 ? static_cast<size_t>(size) : 0);
}

// Reads everything that comes on a duplicate of `fd` on another thread, after a while.
void DrainLater(int fd, int milliseconds) {
  Later(milliseconds, [own = dup(fd)] {
    char data[4096];
    while (read(own, data, sizeof data) > 0) {
    }
    close(own);
  });
}

Fd TemporaryFile(const char* content) {
  FILE* file = tmpfile();
  const int fd = dup(fileno(file));
  fclose(file);
  if (pwrite(fd, content, strlen(content), 0) < 0) return Fd(-1);
  return Fd(fd);
}

// --- read

TRANSPARENT(read, "data that is there") {
  Pair pair;
  if (write(pair.writer(), "abc", 3) != 3) return {};
  char data[8];
  const ssize_t got = read(pair.reader(), data, sizeof data);
  return Result(got, Text(data, got));
}
TRANSPARENT(read, "data that comes later on a pipe") {
  Pair pair;
  Later(20, [fd = pair.writer()] { (void)!write(fd, "later", 5); });
  char data[8];
  const ssize_t got = read(pair.reader(), data, sizeof data);
  return Result(got, Text(data, got));
}
TRANSPARENT(read, "data that comes later on a socket, twice") {
  Pair pair(SOCK_STREAM);
  Later(20, [fd = pair.writer()] { (void)!write(fd, "one", 3); });
  char data[8];
  const ssize_t first = read(pair.reader(), data, sizeof data);
  Later(20, [fd = pair.writer()] { (void)!write(fd, "three", 5); });
  const ssize_t second = read(pair.reader(), data, sizeof data);
  return Result(first * 100 + second, Text(data, second));
}
TRANSPARENT(read, "data and the end in one go") {
  Pair pair(SOCK_STREAM);
  Later(10, [fd = dup(pair.writer())] {
    (void)!write(fd, "bye", 3);
    shutdown(fd, SHUT_WR);
    close(fd);
  });
  char data[8];
  const ssize_t first = read(pair.reader(), data, sizeof data);
  const ssize_t second = read(pair.reader(), data, sizeof data);
  return Result(first * 10 + second);
}
TRANSPARENT(read, "the end of a pipe whose writer goes while it waits") {
  Pair pair;
  Later(20, [fd = dup(pair.writer())] { close(fd); });
  pair.CloseWriter();
  char data[8];
  return Result(read(pair.reader(), data, sizeof data));
}
TRANSPARENT(read, "descriptor -1") {
  char data;
  return Result(read(-1, &data, 1));
}
TRANSPARENT(read, "a closed descriptor") {
  char data;
  return Result(read(kClosedFd, &data, 1));
}
TRANSPARENT(read, "INT_MAX") {
  char data;
  return Result(read(INT_MAX, &data, 1));
}
TRANSPARENT(read, "the writing end") {
  Pair pair;
  char data;
  return Result(read(pair.writer(), &data, 1));
}
TRANSPARENT(read, "null buffer") {
  Pair pair;
  if (write(pair.writer(), "abc", 3) != 3) return {};
  char* nowhere = nullptr;
  return Result(read(pair.reader(), nowhere, 3));
}
TRANSPARENT(read, "no bytes asked of an empty pipe") {
  Pair pair;
  char data;
  return Result(read(pair.reader(), &data, 0));
}
TRANSPARENT(read, "non-blocking and empty") {
  Pair pair;
  SetNonblocking(pair.reader());
  char data;
  return Result(read(pair.reader(), &data, 1));
}
TRANSPARENT(read, "SO_RCVTIMEO passes") {
  Pair pair(SOCK_STREAM);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 30);
  char data;
  return Result(read(pair.reader(), &data, 1));
}
TRANSPARENT(read, "a directory") {
  const Fd directory(open("/", O_RDONLY | O_DIRECTORY));
  char data;
  return Result(read(directory, &data, 1));
}
TRANSPARENT(read, "/dev/null, /dev/zero and a file") {
  const Fd null(open("/dev/null", O_RDONLY));
  const Fd zero(open("/dev/zero", O_RDONLY));
  const Fd file = TemporaryFile("content");
  char data[4];
  return Result(read(null, data, 4) * 100 + read(zero, data, 4) * 10 + read(file, data, 4));
}
TRANSPARENT(read, "an eventfd that is counted up later") {
  const Fd event(eventfd(0, 0));
  Later(20, [fd = static_cast<int>(event)] { eventfd_write(fd, 7); });
  uint64_t count = 0;
  const ssize_t got = read(event, &count, sizeof count);
  return Result(got, std::to_string(count));
}
TRANSPARENT(read, "a connection that is reset") {
  Listener listener;
  const Fd client(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(client, Address(listener.address()), sizeof(sockaddr_in)) != 0) return {};
  Later(20, [fd = accept(listener.fd(), nullptr, nullptr)] {
    const linger reset{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
  });
  char data;
  return Result(read(client, &data, 1));
}
TRANSPARENT(read, "a listening socket") {
  Listener listener;
  char data;
  return Result(read(listener.fd(), &data, 1));
}
TRANSPARENT(read, "one datagram, longer than the buffer") {
  Pair pair(SOCK_DGRAM);
  if (write(pair.writer(), "abcdef", 6) != 6 || write(pair.writer(), "xy", 2) != 2) return {};
  char data[4];
  const ssize_t first = read(pair.reader(), data, sizeof data);
  const ssize_t second = read(pair.reader(), data, sizeof data);
  return Result(first * 10 + second, Text(data, second));
}
TRANSPARENT(readv, "pieces that come later") {
  Pair pair;
  Later(20, [fd = pair.writer()] { (void)!write(fd, "abcdef", 6); });
  char one[2], two[8];
  const iovec pieces[] = {{one, 2}, {two, 8}};
  const ssize_t got = readv(pair.reader(), pieces, 2);
  return Result(got, Text(one, 2) + "," + Text(two, 4));
}
TRANSPARENT(readv, "pieces on a socket after SO_RCVTIMEO") {
  Pair pair(SOCK_STREAM);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 20);
  char one[2];
  const iovec pieces[] = {{one, 2}};
  return Result(readv(pair.reader(), pieces, 1));
}
TRANSPARENT(readv, "bad counts") {
  Pair pair;
  char data;
  const iovec piece{&data, 1};
  const long negative = Result(readv(pair.reader(), &piece, -1)).error;
  const long many = Result(readv(pair.reader(), &piece, IOV_MAX + 1)).error;
  const long none = readv(pair.reader(), &piece, 0);
  const iovec* nowhere = nullptr;
  const long null = Result(readv(pair.reader(), nowhere, 1)).error;
  return {negative * 1'000'000 + many * 10'000 + none * 1000 + null, 0, ""};
}
TRANSPARENT(readv, "a closed descriptor") {
  char data;
  const iovec piece{&data, 1};
  return Result(readv(kClosedFd, &piece, 1));
}

TRANSPARENT(read, "a file in pieces, to its end and beyond") {
  const Fd file = TemporaryFile("content");
  lseek(file, 0, SEEK_SET);
  char data[5];
  const ssize_t first = read(file, data, sizeof data);
  const ssize_t second = read(file, data, sizeof data);
  const ssize_t end = read(file, data, sizeof data);
  return Result(first * 100 + second * 10 + end, std::to_string(lseek(file, 0, SEEK_CUR)));
}
TRANSPARENT(read, "a file of /proc, and one opened for writing only") {
  const Fd status(open("/proc/self/comm", O_RDONLY)),
      blind(open("/dev/shm/cogi-transparency", O_WRONLY | O_CREAT, 0600));
  unlink("/dev/shm/cogi-transparency");
  char data[64];
  const ssize_t got = read(status, data, sizeof data);
  const Outcome refused = Result(read(blind, data, sizeof data));
  return {refused.result, refused.error, Text(data, got)};
}
TRANSPARENT(readv, "a file into several pieces") {
  const Fd file = TemporaryFile("content of a file");
  lseek(file, 0, SEEK_SET);
  char one[3], two[100];
  const iovec pieces[] = {{one, 3}, {nullptr, 0}, {two, 100}};
  const ssize_t got = readv(file, pieces, 3);
  return Result(got, Text(one, 3) + "," + Text(two, got - 3));
}
TRANSPARENT(fsync, "a file, a pipe, closed") {
  const Fd file = TemporaryFile("content");
  Pair pair;
  const long done = fsync(file);
  const long pipe = Result(fsync(pair.reader())).error;
  return {done, 0, std::to_string(pipe * 100 + Result(fsync(kClosedFd)).error)};
}
TRANSPARENT(fdatasync, "a file, a pipe, closed") {
  const Fd file = TemporaryFile("content");
  Pair pair;
  const long done = fdatasync(file);
  const long pipe = Result(fdatasync(pair.reader())).error;
  return {done, 0, std::to_string(pipe * 100 + Result(fdatasync(kClosedFd)).error)};
}

// --- write

TRANSPARENT(write, "room") {
  Pair pair;
  return Result(write(pair.writer(), "abc", 3));
}
TRANSPARENT(write, "all of a megabyte into a pipe that is drained slowly") {
  Pair pair;
  DrainLater(pair.reader(), 20);
  const std::string data(1 << 20, 'x');
  const ssize_t put = write(pair.writer(), data.data(), data.size());
  pair.CloseWriter();
  return Result(put);
}
TRANSPARENT(write, "all of a megabyte into a socket that is drained slowly") {
  Pair pair(SOCK_STREAM);
  DrainLater(pair.reader(), 20);
  const std::string data(1 << 20, 'x');
  const ssize_t put = write(pair.writer(), data.data(), data.size());
  shutdown(pair.writer(), SHUT_WR);
  return Result(put);
}
TRANSPARENT(write, "a reader that has gone") {
  Pair pair;
  pair.CloseReader();
  return Result(write(pair.writer(), "abc", 3));
}
TRANSPARENT(write, "a reader that goes while it waits") {
  Pair pair(SOCK_STREAM);
  const std::string data(1 << 22, 'x');
  Later(20, [fd = dup(pair.reader())] {
    shutdown(fd, SHUT_RDWR);
    close(fd);
  });
  const ssize_t put = write(pair.writer(), data.data(), data.size());
  return Result(put > 0 && put < (1 << 22) ? 1 : 0);
}
TRANSPARENT(write, "non-blocking and full") {
  Pair pair;
  SetNonblocking(pair.writer());
  const std::string data(1 << 20, 'x');
  const ssize_t part = write(pair.writer(), data.data(), data.size());
  const Outcome full = Result(write(pair.writer(), "x", 1));
  return {full.result, full.error, std::to_string(part)};
}
TRANSPARENT(write, "SO_SNDTIMEO passes, first with a part, then with nothing") {
  Pair pair(SOCK_STREAM);
  SetTimeout(pair.writer(), SO_SNDTIMEO, 30);
  const std::string data(1 << 22, 'x');
  const ssize_t part = write(pair.writer(), data.data(), data.size());
  const Outcome full = Result(write(pair.writer(), data.data(), data.size()));
  return {full.result, full.error, part > 0 ? "part" : "nothing"};
}
TRANSPARENT(write, "bad descriptors") {
  Pair pair;
  const long minus_one = Result(write(-1, "x", 1)).error;
  const long closed = Result(write(kClosedFd, "x", 1)).error;
  const long reader = Result(write(pair.reader(), "x", 1)).error;
  return {minus_one * 10000 + closed * 100 + reader, 0, ""};
}
TRANSPARENT(write, "null buffer, no bytes") {
  Pair pair;
  const char* nowhere = nullptr;
  const Outcome null = Result(write(pair.writer(), nowhere, 5));
  return {null.result, null.error, std::to_string(write(pair.writer(), "", 0))};
}
TRANSPARENT(write, "/dev/full and /dev/null") {
  const Fd full(open("/dev/full", O_WRONLY));
  const Fd null(open("/dev/null", O_WRONLY));
  const Outcome no_space = Result(write(full, "x", 1));
  return {no_space.result, no_space.error, std::to_string(write(null, "xyz", 3))};
}
TRANSPARENT(write, "a datagram that is too long") {
  Pair pair(SOCK_DGRAM);
  const std::string data(1 << 22, 'x');
  return Result(write(pair.writer(), data.data(), data.size()));
}
TRANSPARENT(write, "an inherited pipe keeps its flags") {
  Pair pair;
  DrainLater(pair.reader(), 20);
  const std::string data(300'000, 'x');
  const ssize_t put = write(pair.writer(), data.data(), data.size());
  const int flags = fcntl(pair.writer(), F_GETFL);
  pair.CloseWriter();
  return Result(put, std::to_string(flags & O_NONBLOCK));
}
TRANSPARENT(writev, "all pieces, drained slowly") {
  Pair pair(SOCK_STREAM);
  DrainLater(pair.reader(), 20);
  const std::string one(300'000, 'a'), two(5, 'b'), three(700'000, 'c');
  const iovec pieces[] = {{const_cast<char*>(one.data()), one.size()},
                          {const_cast<char*>(two.data()), two.size()},
                          {nullptr, 0},
                          {const_cast<char*>(three.data()), three.size()}};
  const ssize_t put = writev(pair.writer(), pieces, 4);
  shutdown(pair.writer(), SHUT_WR);
  return Result(put);
}
TRANSPARENT(writev, "pieces arrive in order over a small pipe") {
  Pair pair;
  fcntl(pair.writer(), F_SETPIPE_SZ, 4096);
  std::string all;
  for (int i = 0; i < 9000; ++i) all += static_cast<char>('a' + i % 26);
  auto seen = std::make_shared<std::string>();
  Later(5, [fd = dup(pair.reader()), seen] {
    char data[700];
    ssize_t got = 0;
    while ((got = read(fd, data, sizeof data)) > 0) seen->append(data, static_cast<size_t>(got));
    close(fd);
  });
  const iovec pieces[] = {{all.data(), 1000}, {all.data() + 1000, 7000}, {all.data() + 8000, 1000}};
  const ssize_t put = writev(pair.writer(), pieces, 3);
  pair.CloseWriter();
  usleep(30'000);
  return Result(put, *seen == all ? "in order" : "not in order");
}
TRANSPARENT(writev, "bad arguments") {
  Pair pair;
  char data = 'x';
  const iovec piece{&data, 1};
  const long negative = Result(writev(pair.writer(), &piece, -1)).error;
  const long many = Result(writev(pair.writer(), &piece, IOV_MAX + 1)).error;
  const long closed = Result(writev(kClosedFd, &piece, 1)).error;
  const iovec* nowhere = nullptr;
  const long null = Result(writev(pair.writer(), nowhere, 1)).error;
  return {negative * 1'000'000 + many * 10'000 + closed * 100 + null, 0, ""};
}

// --- with an offset

TRANSPARENT(pread, "a file, and a pipe") {
  const Fd file = TemporaryFile("content");
  Pair pair;
  char data[4];
  const ssize_t got = pread(file, data, 4, 3);
  const Outcome pipe = Result(pread(pair.reader(), data, 4, 0));
  return {pipe.result, pipe.error, Text(data, got)};
}
TRANSPARENT(pread, "a negative offset") {
  const Fd file = TemporaryFile("content");
  char data;
  return Result(pread(file, &data, 1, -1));
}
TRANSPARENT(pwrite, "a file, and a closed descriptor") {
  const Fd file = TemporaryFile("content");
  const ssize_t put = pwrite(file, "XY", 2, 1);
  char data[8];
  const ssize_t got = pread(file, data, sizeof data, 0);
  const Outcome closed = Result(pwrite(kClosedFd, "x", 1, 0));
  return {closed.result, closed.error, std::to_string(put) + Text(data, got)};
}
TRANSPARENT(preadv, "a file") {
  const Fd file = TemporaryFile("content");
  char one[2], two[3];
  const iovec pieces[] = {{one, 2}, {two, 3}};
  const ssize_t got = preadv(file, pieces, 2, 1);
  return Result(got, Text(one, 2) + Text(two, 3));
}
TRANSPARENT(pwritev, "a file, and a socket") {
  const Fd file = TemporaryFile("content");
  Pair pair(SOCK_STREAM);
  char data[] = "ab";
  const iovec piece{data, 2};
  const ssize_t put = pwritev(file, &piece, 1, 5);
  const Outcome socket = Result(pwritev(pair.writer(), &piece, 1, 0));
  return {socket.result, socket.error, std::to_string(put)};
}
TRANSPARENT(preadv2,
            "a file at its position, a pipe that is filled later, flags that do not exist") {
  const Fd file = TemporaryFile("content");
  Pair pair;
  Later(20, [fd = pair.writer()] { (void)!write(fd, "pipe", 4); });
  char one[8], two[8];
  const iovec first{one, 8}, second{two, 8};
  const ssize_t got = preadv2(file, &first, 1, -1, 0);
  const ssize_t piped = preadv2(pair.reader(), &second, 1, -1, 0);
  const Outcome bad = Result(preadv2(file, &first, 1, -1, 1 << 30));
  return {bad.result, bad.error, Text(one, got) + Text(two, piped)};
}
TRANSPARENT(pwritev2, "a file at its position, a pipe") {
  const Fd file = TemporaryFile("content");
  Pair pair;
  char data[] = "ab";
  const iovec piece{data, 2};
  return Result(pwritev2(file, &piece, 1, -1, 0) * 10 + pwritev2(pair.writer(), &piece, 1, -1, 0));
}

}  // namespace
}  // namespace cogi::hooks::transparency
