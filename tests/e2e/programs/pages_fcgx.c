/* The pages of pages.c by fcgiapp.h. */
#include <fcgiapp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *variable(const FCGX_Request *request, const char *name) {
  const char *value = FCGX_GetParam(name, request->envp);
  return value != NULL ? value : "";
}

static void echo(FCGX_Request *request) {
  char buffer[8192];
  int got;
  FCGX_PutS("Content-Type: application/octet-stream\r\n\r\n", request->out);
  while ((got = FCGX_GetStr(buffer, sizeof buffer, request->in)) > 0)
    if (FCGX_PutStr(buffer, got, request->out) != got) return;
}

static void environment(FCGX_Request *request) {
  FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
  for (char **each = request->envp; *each != NULL; each++)
    FCGX_FPrintF(request->out, "%s\n", *each);
}

static void lines(FCGX_Request *request) {
  FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
  for (int number = 1; number <= 5; number++) {
    char path[512];
    FCGX_FPrintF(request->out, "%d of 5\n", number);
    if (FCGX_FFlush(request->out) != 0) return;
    snprintf(path, sizeof path, "%s/%d", variable(request, "QUERY_STRING"), number);
    for (int waits = 0; access(path, F_OK) != 0 && waits < 2000; waits++) usleep(5000);
  }
}

static void endless(FCGX_Request *request) {
  char piece[8192];
  memset(piece, 'y', sizeof piece);
  FCGX_PutS("Content-Type: application/octet-stream\r\n\r\n", request->out);
  while (FCGX_PutStr(piece, sizeof piece, request->out) == sizeof piece) continue;
}

int main(void) {
  FCGX_Request request;
  if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0) return 1;
  while (FCGX_Accept_r(&request) == 0) {
    const char *page = variable(&request, "PATH_INFO");
    if (strcmp(page, "/echo") == 0)
      echo(&request);
    else if (strcmp(page, "/environment") == 0)
      environment(&request);
    else if (strcmp(page, "/lines") == 0)
      lines(&request);
    else
      endless(&request);
    FCGX_Finish_r(&request);
  }
  return 0;
}
