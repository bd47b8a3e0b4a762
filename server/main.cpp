// cogi: a thin main. Everything is in server/ and libcogi.so.
#include "server/cli.h"

int main(int argc, char** argv) { return cogi::server::Main(argc, argv); }
