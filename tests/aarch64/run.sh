#!/bin/bash
# tests/aarch64/run.sh [BUILD-FOLDER]: builds the coroutine runtime and its tests for 64-bit ARM and runs them under
# qemu-user, once as Debian's compiler does it, once with branch target identification; hooks/ is compiled. JOBS: of
# the build, 2. Exit 77: the cross compiler, qemu or GoogleTest's sources are missing (scripts/packages has them).
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(realpath -m "${1:-$source/../../build/aarch64}")

for need in aarch64-linux-gnu-g++ qemu-aarch64 cmake ninja; do
  command -v $need >/dev/null || { echo "$need is missing"; exit 77; }
done
[ -f /usr/src/googletest/CMakeLists.txt ] || { echo "the package googletest is missing"; exit 77; }

# Death tests start their program again, by its argv[0]: that must be something this machine can execute.
# (qemu-user does not hold its guest to RLIMIT_AS, by which the tests named NoMemoryForA... take memory away, and its own
# memory counts where tests look at what is resident.)
# (And qemu-user answers 0 to every madvise(2), also to a MADV_GUARD_INSTALL that it does not carry out.)
write_starter() {
  cat >"$1.sh" <<EOF
#!/bin/sh
exec qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu -E COGI_NO_GUARD_INSTALL=1 -0 "$1.sh" "$1" "\$@"
EOF
  chmod +x "$1.sh"
}

cmake -G Ninja -S "$source" -B "$build" -DCMAKE_TOOLCHAIN_FILE="$source/toolchain.cmake" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" -j "${JOBS:-2}" >"$build/build.log" 2>&1 || { cat "$build/build.log"; exit 1; }
readelf -n "$build/libcoroutine_guarded.so" | grep -q 'AArch64 feature: BTI' || { echo "not guarded"; exit 1; }
for test in coroutine_test libco_test coroutine_guarded_test; do
  write_starter "$build/$test"
  "$build/$test.sh" --gtest_brief=1 --gtest_filter="${FILTER:--*NoMemoryForA*:*AHundredThousandParked*:*ASchedulerTakesLess*}"
done
echo "aarch64: all tests passed"
