#!/bin/bash
# test.sh [ctest's options]: builds cogi and runs all its tests. Starts from a bare Debian 12; with nothing left to build,
# only the tests take time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1  # one checkout finds what another has compiled

scripts/prepare test
cmake --build build -j "$(nproc)" >&2
exec ctest --test-dir build --output-on-failure -j2 "$@"
