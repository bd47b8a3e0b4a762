#!/bin/bash
# run.sh [cogi serve's options]: builds cogi, and serves www/ with its samples on http://127.0.0.1:8080 until Ctrl-C.
# Starts from a bare Debian 12; with nothing left to build it takes seconds. See README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1  # one checkout finds what another has compiled

scripts/prepare build
cmake --build build --target cogi_www -j "$(nproc)" >&2
exec build/cogi serve build/www "$@"
