#!/usr/bin/env bash
# Fuzzes one target for FUZZ_SECONDS (default 5) from its seed corpus; what it finds goes to a
# scratch folder, so the seeds stay as they are. Every run takes the same path (FUZZ_SEED, default 1), so that a red
# test is red again; a hunt takes other seeds and more time: FUZZ_SEED=0 (the clock) FUZZ_SECONDS=600.
set -eu
target=$1 corpus=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/new"
cd "$work"
# What one input frees is some MB: a longer memory of it (256 MB) costs page faults at every input.
export ASAN_OPTIONS="quarantine_size_mb=16:${ASAN_OPTIONS:-}"
"$target" -seed="${FUZZ_SEED:-1}" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 "$work/new" "$corpus" 2>&1 | tail -n 25
exit "${PIPESTATUS[0]}"
