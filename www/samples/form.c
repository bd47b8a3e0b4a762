/* A form and its answer, as CGI programs have been written since 1995: getenv(), fread(), printf().
 * GET shows the form, POST reads CONTENT_LENGTH bytes of name=value pairs and shows them. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BODY 65536

static char body[MAX_BODY + 1]; /* static: every request starts with it empty */

/* put_escaped() prints text so that a browser takes none of it for markup. */
static void put_escaped(const char *text) {
  for (; *text != '\0'; text++) {
    switch (*text) {
      case '&':
        fputs("&amp;", stdout);
        break;
      case '<':
        fputs("&lt;", stdout);
        break;
      case '>':
        fputs("&gt;", stdout);
        break;
      case '"':
        fputs("&quot;", stdout);
        break;
      default:
        putchar(*text);
    }
  }
}

static int hex(int c) { return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10; }

/* url_decode() decodes '+' and %XX in place. */
static void url_decode(char *text) {
  char *out = text;
  for (; *text != '\0'; text++) {
    if (*text == '+') {
      *out++ = ' ';
    } else if (*text == '%' && isxdigit((unsigned char)text[1]) &&
               isxdigit((unsigned char)text[2])) {
      *out++ = (char)(hex(text[1]) * 16 + hex(text[2]));
      text += 2;
    } else {
      *out++ = *text;
    }
  }
  *out = '\0';
}

static void page_start(const char *title) {
  printf(
      "Content-Type: text/html; charset=utf-8\r\n\r\n"
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>%s</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n"
      "<body>\n<main class=\"narrow\">\n<p><a href=\"/\">cogi</a></p>\n<h1>%s</h1>\n",
      title, title);
}

static void page_end(void) { printf("</main>\n</body>\n</html>\n"); }

static void show_form(void) {
  page_start("A form in C");
  printf(
      "<form method=\"post\">\n"
      "<label for=\"name\">Your name</label>\n"
      "<input id=\"name\" name=\"name\" required autocomplete=\"name\">\n"
      "<label for=\"about\">What do you build?</label>\n"
      "<textarea id=\"about\" name=\"about\" rows=\"4\"></textarea>\n"
      "<button>Send</button>\n</form>\n");
  page_end();
}

static void show_answer(void) {
  char *field, *rest = NULL;
  page_start("What arrived");
  printf(
      "<table>\n<thead><tr><th scope=\"col\">Field</th><th scope=\"col\">Value</th></tr></thead>\n"
      "<tbody>\n");
  for (field = strtok_r(body, "&", &rest); field != NULL; field = strtok_r(NULL, "&", &rest)) {
    char *value = strchr(field, '=');
    if (value != NULL) *value++ = '\0';
    url_decode(field);
    if (value != NULL) url_decode(value);
    printf("<tr><th scope=\"row\">");
    put_escaped(field);
    printf("</th><td>");
    put_escaped(value != NULL ? value : "");
    printf("</td></tr>\n");
  }
  printf("</tbody>\n</table>\n<p><a href=\"form.cgi\">Once more</a></p>\n");
  page_end();
}

int main(void) {
  const char *method = getenv("REQUEST_METHOD");
  const char *length = getenv("CONTENT_LENGTH");
  if (method == NULL || strcmp(method, "POST") != 0) {
    show_form();
    return 0;
  }
  long size = length != NULL ? strtol(length, NULL, 10) : 0;
  if (size < 0 || size > MAX_BODY) {
    printf(
        "Status: 413 Content Too Large\r\nContent-Type: text/plain\r\n\r\n"
        "A form of at most %d bytes, please.\n",
        MAX_BODY);
    return 0;
  }
  body[fread(body, 1, (size_t)size, stdin)] = '\0';
  show_answer();
  return 0;
}
