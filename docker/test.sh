#!/bin/bash
# docker/test.sh [FOLDER]: shows that the Dockerfile builds and that its image serves as docker/compose.yaml says, without a
# Docker engine: by Debian's buildah, on a base made by debootstrap. Works in a temporary folder under FOLDER (default: TMPDIR
# or /tmp; needs 6 GB; kill -9 leaves it behind). Run by hand, as root, with buildah, debootstrap, iproute2, nginx and a network; at most an hour.
#
# Three stages. This process makes the folder and starts the second in a PID namespace of its own: however one of them ends,
# the kernel ends all that they have started. The third serves, in a network namespace where every port is free.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C

say() { echo "docker test: $*" >&2; }
fail() { say "FAILED: $*"; exit 1; }
build_tool() { buildah --root "$scratch/storage" --runroot "$scratch/run" --storage-driver vfs "$@"; }
in_container() { build_tool run --isolation chroot --network host "$@"; }

begin() {
  [ "$(id -u)" = 0 ] || fail "needs root, for debootstrap and chroot"
  for tool in buildah debootstrap curl ip nginx git; do command -v "$tool" >/dev/null || fail "needs $tool"; done
  scratch=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/cogi-docker-XXXXXX")
  inner=
  finish() {
    [ -z "$inner" ] || kill -KILL "$inner" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf --one-file-system "$scratch"
  }
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # The parent's death reaches unshare, that of unshare the namespace's first process, and with it all the others.
  COGI_DOCKER_TEST=build setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount-proc "$0" "$scratch" &
  inner=$!
  wait "$inner" && inner= || { inner= && exit 1; }
}

make_base() {
  say "the base"
  local mirror container
  mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    sed -n 's/^bookworm main Debian //p' | head -n 1)
  [ -n "$mirror" ] || fail "apt on this machine knows no mirror of Debian bookworm (apt-get update?)"
  debootstrap --variant=minbase bookworm "$scratch/base" "$mirror" >"$scratch/log" 2>&1 || fail "$(tail -n 20 "$scratch/log")"
  tar -C "$scratch/base" -cf "$scratch/base.tar" .
  rm -rf --one-file-system "$scratch/base"
  container=$(build_tool from scratch)
  build_tool add -q "$container" "$scratch/base.tar" / >/dev/null
  build_tool commit -q --format docker "$container" localhost/base >/dev/null
  build_tool rm "$container" >/dev/null
  rm "$scratch/base.tar"
}

build_image() {
  say "the image"
  git clone -q "file://$root" "$scratch/tree"
  build_tool bud --isolation chroot --network host --format docker --build-arg BASE=localhost/base \
    -f "$scratch/tree/docker/Dockerfile" -t cogi "$scratch/tree" >"$scratch/log" 2>&1 || fail "$(tail -n 40 "$scratch/log")"
  local config
  config=$(build_tool inspect --type image --format \
    'user={{.Docker.Config.User}} health={{if .Docker.Config.Healthcheck}}yes{{end}} stop={{.Docker.Config.StopSignal}}' cogi)
  say "$config"
  [ "$config" = "user=cogi health=yes stop=SIGTERM" ] || fail "the image's configuration is not what the Dockerfile says"
}

serve() {
  say "serves"
  ip link set lo up
  container=$(build_tool from cogi)
  in_container "$container" -- cogi serve /srv/cogi.json >"$scratch/server.log" 2>&1 &
  server=$!
  for ((i = 0; i < 100; ++i)); do
    curl -fsS -o /dev/null --max-time 2 http://127.0.0.1:8080/ 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || fail "$(tail -n 20 "$scratch/server.log")"
    sleep 0.1
  done
  curl -fsS --max-time 10 http://127.0.0.1:8080/samples/hello.cgi || fail "no hello: $(tail -n 20 "$scratch/server.log")"
  local process
  for process in $(pgrep -x cogi); do
    [ "$(awk '/^Uid:/{print $2}' "/proc/$process/status")" = 10001 ] || fail "process $process does not run as the user cogi"
  done

  say "is healthy"
  local health
  health=$(build_tool inspect --type image --format '{{index .Docker.Config.Healthcheck.Test 3}}' cogi)
  in_container "$container" -- bash -c "$health" || fail "the health check says no"

  say "behind nginx"
  {
    echo "user root; daemon off; pid $scratch/nginx.pid; error_log $scratch/nginx.log; events {} http { access_log off;"
    echo "client_body_temp_path $scratch; fastcgi_temp_path $scratch; proxy_temp_path $scratch; uwsgi_temp_path $scratch;"
    echo "scgi_temp_path $scratch;"
    sed 's/server cogi:9000/server 127.0.0.1:9000/; s/listen 80/listen 127.0.0.1:8000/; s|include fastcgi_params|include /etc/nginx/fastcgi_params|' \
      "$root/docker/nginx.conf"
    echo "}"
  } >"$scratch/nginx.conf"
  nginx -p "$scratch" -c "$scratch/nginx.conf" -e "$scratch/nginx.log" &
  curl -fsS --retry 20 --retry-connrefused --retry-delay 1 --max-time 30 http://127.0.0.1:8000/samples/hello.cgi ||
    fail "nginx: $(tail -n 20 "$scratch/nginx.log")"

  say "stops"
  kill -TERM "$(pgrep -o -x cogi)"
  wait "$server" || fail "exit code $? after TERM: $(tail -n 20 "$scratch/server.log")"
  say "passed"
}

case "${COGI_DOCKER_TEST:-}" in
  "") begin "$@" ;;
  build)
    scratch=$1
    make_base
    build_image
    COGI_DOCKER_TEST=serve unshare --net "$0" "$scratch"
    ;;
  serve)
    scratch=$1
    serve
    ;;
esac
