#!/bin/bash
# tests/sanitizers.sh [asan|tsan|valgrind|all]...: the whole suite of the coroutine runtime, in both stack modes, libco's API and
# the kqueue event loop included, under AddressSanitizer with UndefinedBehaviorSanitizer, under ThreadSanitizer, and under
# Valgrind's memcheck with its search for leaks. Prints a verdict for each program and each tool; exit code 1 if one is not
# clean. JOBS: of the builds, all processors; FILTER: as of --gtest_filter.
#
# The scale is what each can hold: tests of resident memory and of want of memory are left out where the tool's own memory would
# be measured, and say so ("skipped").
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
programs=(coroutine_test libco_test clock_test coroutine_kqueue_test)
# A death test starts its program again: Valgrind must not follow into what is meant to die.
valgrind=(valgrind --quiet --trace-children=no --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
  --show-leak-kinds=definite --max-stackframe=10000000)
export ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1:detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=second_deadlock_stack=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
verdicts=()

# build PRESET FOLDER
build() {
  [ -f "$2/build.ninja" ] || cmake --preset "$1" >"$log" 2>&1 || { cat "$log"; exit 1; }
  cmake --build "$2" -j "${JOBS:-$(nproc)}" --target "${programs[@]}" >"$log" 2>&1 || { tail -n 50 "$log"; exit 1; }
}

# run_all TOOL FOLDER [WRAPPER...]
run_all() {
  local tool=$1 folder=$2 program code tests skipped
  shift 2
  for program in "${programs[@]}"; do
    code=0
    "$@" "$folder/tests/coroutine/$program" --gtest_brief=1 --gtest_filter="${FILTER:-*}" >"$log" 2>&1 || code=$?
    tests=$(sed -n 's/^\[==========\] \([0-9]*\) tests\?.* ran\..*/\1/p' "$log")
    skipped=$(sed -nE 's/^\[  SKIPPED \] ([0-9]+) tests?\.$/\1/p' "$log")
    # What is found in a test that goes on is a finding, too, whatever the exit code.
    if [ $code = 0 ] && [ -n "$tests" ] && ! grep -qE 'runtime error:|(Address|Thread|Leak)Sanitizer' "$log"; then
      verdicts+=("$tool: $program is clean ($tests tests, ${skipped:-0} skipped)")
    else
      tail -n 100 "$log"
      verdicts+=("$tool: $program is NOT CLEAN (exit code $code)")
    fi
    echo "${verdicts[-1]}" >&2
  done
}

[ $# -gt 0 ] || set -- all
[ "$1" != all ] || set -- asan tsan valgrind
for tool in "$@"; do
  case $tool in
    asan | tsan)
      build "$tool" "build-$tool"
      run_all "$tool" "build-$tool" ;;
    valgrind)
      build release build
      run_all valgrind build "${valgrind[@]}" ;;
    *) sed -n '2,9s/^# //p' "$0" >&2; exit 2 ;;
  esac
done
printf '%s\n' "${verdicts[@]}"
! printf '%s\n' "${verdicts[@]}" | grep -q 'NOT CLEAN'
