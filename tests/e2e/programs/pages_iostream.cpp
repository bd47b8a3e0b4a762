// The pages of pages.c as a CGI program by iostreams.
#include <unistd.h>

#include <iostream>

#include "pages_streams.h"

int main() { Pages(std::cin, std::cout, environ).Answer(); }
