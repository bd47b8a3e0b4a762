#!/bin/bash
# docker/test.sh [FOLDER]: shows that the Dockerfile builds and that its image serves as docker/compose.yaml says, without a
# Docker engine: by Debian's buildah, on a base made by debootstrap. Works in a temporary folder under FOLDER (default: TMPDIR
# or /tmp; needs 6 GB). Run by hand, as root, with buildah, debootstrap, nginx and a network; at most an hour. Uses ports
# 8000, 8080 and 9000 of 127.0.0.1, which must be free.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C

say() { echo "docker test: $*" >&2; }
fail() { say "FAILED: $*"; exit 1; }

[ "$(id -u)" = 0 ] || fail "needs root, for debootstrap and chroot"
for tool in buildah debootstrap curl nginx git; do command -v "$tool" >/dev/null || fail "needs $tool"; done
for port in 8000 8080 9000; do
  if (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; then fail "port $port is taken"; fi
done
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
  sed -n 's/^bookworm main Debian //p' | head -n 1)
[ -n "$mirror" ] || fail "apt on this machine knows no mirror of Debian bookworm (apt-get update?)"

scratch=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/cogi-docker-XXXXXX")
server= nginx=
finish() {
  [ -z "$nginx" ] || kill "$nginx" 2>/dev/null || true
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  wait
  build_tool unshare true 2>/dev/null || true
  build_tool rm --all >/dev/null 2>&1 || true
  rm -rf --one-file-system "$scratch"
}
trap finish EXIT

build_tool() { buildah --root "$scratch/storage" --runroot "$scratch/run" --storage-driver vfs "$@"; }
build_image() {
  build_tool bud --isolation chroot --network host --format docker --build-arg BASE=localhost/base \
    -f "$scratch/tree/docker/Dockerfile" -t cogi "$scratch/tree"
}

say "the base"
debootstrap --variant=minbase bookworm "$scratch/base" "$mirror" >"$scratch/log" 2>&1 || fail "$(tail -n 20 "$scratch/log")"
tar -C "$scratch/base" -cf "$scratch/base.tar" .
rm -rf --one-file-system "$scratch/base"
base=$(build_tool from scratch)
build_tool add -q "$base" "$scratch/base.tar" / >/dev/null
build_tool commit -q --format docker "$base" localhost/base >/dev/null
build_tool rm "$base" >/dev/null
rm "$scratch/base.tar"

say "the image"
git clone -q "file://$root" "$scratch/tree"
timeout 3000 bash -c "$(declare -f build_tool build_image); scratch=$scratch; build_image" >"$scratch/log" 2>&1 ||
  fail "$(tail -n 40 "$scratch/log")"
config=$(build_tool inspect --type image --format \
  'user={{.Docker.Config.User}} health={{if .Docker.Config.Healthcheck}}yes{{end}} stop={{.Docker.Config.StopSignal}}' cogi)
say "$config"
[ "$config" = "user=cogi health=yes stop=SIGTERM" ] || fail "the image's configuration is not what the Dockerfile says"

say "serves"
container=$(build_tool from cogi)
build_tool run --isolation chroot --network host "$container" -- cogi serve /srv/cogi.json >"$scratch/server.log" 2>&1 &
server=$!
for ((i = 0; i < 100; ++i)); do
  curl -fsS -o /dev/null --max-time 2 http://127.0.0.1:8080/ 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || fail "$(tail -n 20 "$scratch/server.log")"
  sleep 0.1
done
curl -fsS --max-time 10 http://127.0.0.1:8080/samples/hello.cgi || fail "no hello: $(tail -n 20 "$scratch/server.log")"
worker=$(pgrep -f 'cogi.*serve /srv/cogi.json' | tail -n 1)
[ "$(awk '/^Uid:/{print $2}' "/proc/$worker/status")" = 10001 ] || fail "the server does not run as the user cogi"

say "is healthy"
health=$(build_tool inspect --type image --format '{{index .Docker.Config.Healthcheck.Test 3}}' cogi)
build_tool run --isolation chroot --network host "$container" -- bash -c "$health" || fail "the health check says no"

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
nginx=$!
curl -fsS --retry 20 --retry-connrefused --retry-delay 1 --max-time 30 http://127.0.0.1:8000/samples/hello.cgi ||
  fail "nginx: $(tail -n 20 "$scratch/nginx.log")"
say "passed"
