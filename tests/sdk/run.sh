#!/usr/bin/env bash
# Installs the pinned SDKs next to this file (again only if the pins changed), then runs them against
# the gateway binary of TOLLGATE_BIN. Arguments go to pytest.
set -euo pipefail

TOLLGATE_BIN=$(realpath -m "${TOLLGATE_BIN:-$(dirname "$0")/../../target/debug/tollgate}")
export TOLLGATE_BIN
cd "$(dirname "$0")"

fail() { echo "$0: $1" >&2; exit 1; }

[ -x "$TOLLGATE_BIN" ] || fail "no gateway at $TOLLGATE_BIN: build it, or name it in TOLLGATE_BIN"
python3 -c 'import ensurepip, venv' 2>/dev/null || fail "python3 -m venv is missing: apt-get install python3-venv"
command -v npm >/dev/null || fail "npm is missing: apt-get install nodejs npm"

if ! cmp -s requirements.txt .venv/installed.txt; then
  python3 -m venv --clear .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
  cp requirements.txt .venv/installed.txt
fi

# Some of the SDKs need a newer Node than the system may have, so Node itself is one of the pinned packages.
if ! cmp -s js/package-lock.json js/node_modules/installed.json; then
  npm --prefix js ci --ignore-scripts --no-audit --no-fund --loglevel=error
  cp js/package-lock.json js/node_modules/installed.json
fi

exec .venv/bin/python -m pytest "$@"
