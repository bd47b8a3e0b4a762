#!/bin/bash
# tests/clean_room.sh [FOLDER]: shows that HEAD works on a bare Debian 12. Makes a minimal Debian root in a temporary folder
# under FOLDER (default: TMPDIR or /tmp; needs 4 GB), clones HEAD into it, and inside it runs ./run.sh, asks the server for
# the welcome page and every sample, and runs ./test.sh. Ends with a line that says so, or with what failed.
#
# Run by hand, as root, with debootstrap and a network (it downloads some 400 MB by this machine's own apt mirror). Takes as
# long as the build and the tests; at most two hours. Everything inside runs in namespaces of its own, so that no process and
# no mount is left when it ends, however it ends.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C
limit=3600  # seconds for each of the two commands

say() { echo "clean room: $*" >&2; }
fail() { say "FAILED: $*"; exit 1; }

# --- inside the namespaces: $1 is the room -------------------------------------------------------------------------------

wait_for_server() {
  local waited
  for ((waited = 0; waited < limit; ++waited)); do
    curl -fsS -o /dev/null --max-time 5 http://127.0.0.1:8080/ 2>/dev/null && return
    kill -0 "$1" 2>/dev/null || fail "run.sh ended: $(tail -n 30 "$room/run.log")"
    sleep 1
  done
  fail "run.sh does not serve after $limit s: $(tail -n 30 "$room/run.log")"
}

ask_for_samples() {
  local source name status
  for source in "$room"/cogi/www/samples/*.c "$room"/cogi/www/samples/*.cpp; do
    name=$(basename "${source%.*}")
    local body=()
    [ "$name" != echo ] || body=(--data-binary hello)  # answers with what it is sent
    status=$(curl -sS -o "$room/answer" -w '%{http_code}' --max-time 30 "${body[@]}" \
      "http://127.0.0.1:8080/samples/$name.cgi") ||
      fail "no answer from samples/$name.cgi"
    [ "$status" = 200 ] || fail "samples/$name.cgi answers $status: $(head -c 500 "$room/answer")"
    [ -s "$room/answer" ] || fail "samples/$name.cgi answers nothing"
    say "samples/$name.cgi: 200, $(stat -c %s "$room/answer") bytes"
  done
}

inside() {
  room=$1
  # A command and not a function: its process id in the background is that of what runs in the room.
  local in_room=(chroot "$room" /usr/bin/env -i HOME=/root LC_ALL=C
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}")
  mount --bind "$room" "$room"  # the root of a machine is a mount point; some tests mount below it
  mount -t proc proc "$room/proc"
  mount -t sysfs -o ro sysfs "$room/sys"
  mount --rbind /dev "$room/dev"
  mount -t tmpfs tmpfs "$room/dev/shm"

  say "run.sh"
  "${in_room[@]}" /cogi/run.sh >"$room/run.log" 2>&1 &
  local server=$!
  wait_for_server "$server"
  ask_for_samples
  kill -TERM "$server"
  wait "$server" || fail "run.sh exits with $? at SIGTERM"

  say "run.sh again, with nothing to build"
  "${in_room[@]}" /cogi/run.sh >"$room/run.log" 2>&1 &
  server=$!
  wait_for_server "$server"
  kill -TERM "$server"
  wait "$server" || fail "run.sh exits with $? at SIGTERM"

  say "test.sh"
  "${in_room[@]}" timeout "$limit" /cogi/test.sh || fail "test.sh exits with $?"
  if "${in_room[@]}" test -e /usr/sbin/policy-rc.d; then fail "policy-rc.d is left behind"; fi
}

if [ "${1:-}" = --inside ]; then
  inside "$2"
  exit
fi

# --- outside -------------------------------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || fail "needs root, for debootstrap and chroot"
for tool in debootstrap unshare curl git; do command -v "$tool" >/dev/null || fail "needs $tool"; done
if curl -s -o /dev/null --max-time 2 http://127.0.0.1:8080/; then fail "something answers on port 8080 already"; fi

mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
  sed -n 's/^bookworm main Debian //p' | head -n 1)
[ -n "$mirror" ] || fail "apt on this machine knows no mirror of Debian bookworm (apt-get update?)"

scratch=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/cogi-clean-room-XXXXXX")
trap 'rm -rf --one-file-system "$scratch"' EXIT
room=$scratch/room

say "a minimal Debian 12 in $room"
debootstrap --variant=minbase bookworm "$room" "$mirror" >"$scratch/debootstrap.log" 2>&1 ||
  fail "debootstrap: $(tail -n 20 "$scratch/debootstrap.log")"
# What debootstrap leaves to the installer: how names are found.
cp /etc/resolv.conf "$room/etc/resolv.conf"
printf '127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback\n' "$(uname -n)" >"$room/etc/hosts"
git clone -q --no-hardlinks "file://$root" "$room/cogi"
say "HEAD is $(git -C "$room/cogi" log --oneline -1)"

started=$SECONDS
timeout $((2 * limit)) unshare --mount --pid --fork --kill-child "$root/tests/clean_room.sh" --inside "$room" ||
  fail "see above"
say "passed: a bare Debian 12 runs and tests cogi, in $((SECONDS - started)) s"
