#!/usr/bin/env bash
# Installs by apt what the build or the tests need and this machine does not have. Where nothing is missing it
# changes nothing and needs no network.
#
# usage: scripts/setup.sh build|test
set -euo pipefail

fail() { echo "$0: $1" >&2; exit 1; }

missing=()

# need PACKAGE COMMAND…: the package is missing if the command fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

case "${1:-}" in
    build | test) ;;
    *) fail "say what for: build or test" ;;
esac

command -v cargo >/dev/null || fail "cargo is missing: install the Rust toolchain, see https://rustup.rs"
# zlib-ng, which Pingora brings along, is built with cmake.
need cmake command -v cmake
# The certificates that those of the providers are checked with.
need ca-certificates test -s /etc/ssl/certs/ca-certificates.crt
if [ "$1" = test ]; then
    # The official SDKs run in a virtual environment and in Node.
    need python3 command -v python3
    need python3-venv python3 -c 'import ensurepip, venv'
    need nodejs command -v node
    need npm command -v npm
    # The tests of shared counters start servers and a cluster of their own.
    need redis-server command -v redis-server
    need redis-tools command -v redis-cli
fi
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "missing: ${missing[*]}. Install them as root; there is no sudo here to do it with"
    as_root=(sudo)
fi
command -v apt-get >/dev/null || fail "missing: ${missing[*]}. There is no apt-get here; install them by other means"

echo "installing ${missing[*]}"
"${as_root[@]}" apt-get -q update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}"
