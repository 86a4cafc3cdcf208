#!/usr/bin/env bash
# Runs every test there is: those in Rust, then the official SDKs against the gateway that they were built with.
# Says at the end how many there were.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

cargo test --workspace 2>&1 | tee "$log"
TOLLGATE_BIN="${CARGO_TARGET_DIR:-target}/debug/tollgate" tests/sdk/run.sh 2>&1 | tee -a "$log"

# "test result: ok. 12 passed; 0 failed; 1 ignored; …" and "==== 85 passed, 2 skipped in 12.34s ===="
awk '
    /^test result: / { rust += $4; left_out += $8 }
    /^=+ .* in [0-9.]+s/ {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) sdk += $(i - 1)
            if ($i ~ /^skipped/) left_out += $(i - 1)
        }
    }
    END { printf "\n%d tests passed: %d in Rust, %d with the SDKs; %d were left out\n", rust + sdk, rust, sdk, left_out }
' "$log"
