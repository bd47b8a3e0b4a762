/* What CGI programs do to the process that they think is theirs alone. Query:
 * mode=NAME&n=NUMBER&wait=MILLISECONDS[&file=PATH]. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *query;
static jmp_buf somewhere;
static volatile sig_atomic_t rang;

static long number(const char *name) {
  const char *at = strstr(query, name);
  return at != NULL ? strtol(at + strlen(name), NULL, 10) : 0;
}

static void pass_time(void) {
  long wait = number("wait=");
  if (wait > 0) usleep((useconds_t)wait * 1000);
}

static void head(void) { printf("Content-Type: text/plain\n\n"); }

static void on_signal(int which) { rang = which; }

/* A file of this request alone, which has no name any more. */
static int scratch(void) {
  char path[] = "/tmp/cogi-habits-XXXXXX";
  int fd = mkstemp(path);
  unlink(path);
  return fd;
}

static void change_directory(void) {
  char path[256], where[] = "/tmp";
  umask(027);
  if (number("n=") % 2 == 1) strcpy(where, "/usr");
  if (chdir(where) != 0) printf("chdir: %s\n", strerror(errno));
  pass_time();
  printf("in %s, umask %03o\n", getcwd(path, sizeof path), (unsigned)umask(0));
}

static void change_locale(void) {
  printf("at first %s, ", setlocale(LC_ALL, NULL));
  printf("set %s\n", setlocale(LC_ALL, number("n=") % 2 == 1 ? "C.UTF-8" : "C"));
  pass_time();
  printf("now %s, bytes of a character %d\n", setlocale(LC_CTYPE, NULL), mblen("\xc3\xa9", 2));
}

static void parse_options(void) {
  char *words[] = {"program", "-a", "-b", "value", "rest", NULL};
  int option;
  printf("at first %d;", optind);
  while ((option = getopt(5, words, "ab:")) != -1) {
    printf(" -%c %s", option, optarg != NULL ? optarg : "");
    pass_time();
  }
  printf("; rest from %d\n", optind);
}

static void jump(int depth) {
  char frame[512];
  memset(frame, depth, sizeof frame);
  if (depth == 0) {
    pass_time();
    longjmp(somewhere, 7);
  }
  jump(depth - 1);
  printf("never %d\n", frame[0]);
}

static void jump_far(void) {
  int value = setjmp(somewhere);
  if (value == 0) jump(10);
  pass_time();
  printf("landed with %d\n", value);
}

static void move_stdout(void) {
  char text[64] = "";
  int file = scratch(), saved = dup(1);
  printf("before\n");
  fflush(stdout);
  dup2(file, 1);
  printf("into the file by %ld", number("n="));
  fflush(stdout);
  pass_time();
  dup2(saved, 1);
  close(saved);
  if (pread(file, text, sizeof text - 1, 0) < 0) strcpy(text, strerror(errno));
  close(file);
  printf("after, and the file has: %s\n", text);
}

static void reopen_stdin(void) {
  char path[] = "/tmp/cogi-habits-XXXXXX", line[64] = "nothing";
  int file = mkstemp(path);
  dprintf(file, "line of %ld\n", number("n="));
  close(file);
  if (freopen(path, "r", stdin) == NULL) printf("freopen: %s\n", strerror(errno));
  unlink(path);
  pass_time();
  if (fgets(line, sizeof line, stdin) == NULL) strcpy(line, "no line\n");
  printf("stdin is number %d and has: %s", fileno(stdin), line);
}

static void write_in_turn(void) {
  for (int i = 0; i < 3; i++) {
    printf("printf %d\n", i);
    fflush(stdout);
    if (write(1, "write\n", 6) != 6) printf("write: %s\n", strerror(errno));
    pass_time();
    dprintf(1, "dprintf %d\n", i);
    dprintf(STDOUT_FILENO, "%s", "");
  }
}

static void start_children(void) {
  char line[128];
  int status;
  FILE *pipe;
  pid_t child;
  fflush(stdout);
  status = system("echo from system; exit 3");
  printf("system %d\n", WEXITSTATUS(status));
  pipe = popen("echo from popen", "r");
  while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL) printf("read: %s", line);
  if (pipe != NULL) pclose(pipe);
  fflush(stdout);
  child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", "echo from the child; exit 5", (char *)NULL);
    _exit(127);
  }
  waitpid(child, &status, 0);
  printf("child %d\n", WEXITSTATUS(status));
}

static void ring(void) {
  struct itimerval soon = {{0, 0}, {0, 20000}};
  signal(SIGALRM, on_signal);
  setitimer(ITIMER_REAL, &soon, NULL);
  for (int i = 0; i < 200 && rang == 0; i++) usleep(10000);
  printf("rang %d\n", (int)rang == SIGALRM);
}

static void signal_itself(void) {
  signal(SIGTERM, on_signal);
  kill(0, SIGTERM);
  pass_time();
  printf("caught %d\n", (int)rang);
  rang = 0;
  signal(SIGUSR1, on_signal);
  raise(SIGUSR1);
  printf("caught %d\n", (int)rang);
}

/* Adds one to the number in a file that all requests share, under a lock. */
static void count_under_lock(void) {
  char path[256] = "", text[32] = "0";
  const char *at = strstr(query, "file=");
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  int file;
  if (at != NULL) snprintf(path, sizeof path, "%s", at + 5);
  file = open(path, O_RDWR | O_CREAT, 0600);
  if (file < 0 || fcntl(file, F_SETLKW, &lock) != 0) {
    printf("no lock: %s\n", strerror(errno));
    return;
  }
  if (pread(file, text, sizeof text - 1, 0) < 0) printf("pread: %s\n", strerror(errno));
  pass_time();
  snprintf(text, sizeof text, "%ld", strtol(text, NULL, 10) + 1);
  if (pwrite(file, text, strlen(text) + 1, 0) < 0) printf("pwrite: %s\n", strerror(errno));
  close(file);
  printf("counted\n");
}

static void die_by_alarm(void) {
  alarm(1);
  sleep(3);
}

int main(void) {
  static const struct {
    const char *name;
    void (*run)(void);
  } modes[] = {
      {"chdir", change_directory}, {"locale", change_locale},    {"getopt", parse_options},
      {"longjmp", jump_far},       {"dup2", move_stdout},        {"freopen", reopen_stdin},
      {"turns", write_in_turn},    {"children", start_children}, {"ring", ring},
      {"signals", signal_itself},  {"lock", count_under_lock},   {"alarmed", die_by_alarm},
  };
  query = getenv("QUERY_STRING") != NULL ? getenv("QUERY_STRING") : "";
  head();
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    size_t length = strlen(modes[i].name);
    if (strncmp(query, "mode=", 5) == 0 && strncmp(query + 5, modes[i].name, length) == 0)
      modes[i].run();
  }
  if (strstr(query, "mode=killed") != NULL)
    kill(0, SIGTERM); /* without a handler: the end, and nothing was flushed */
  if (strstr(query, "mode=late-alarm") != NULL) alarm(1); /* must die with the request */
  printf("end\n");
  return 0;
}
