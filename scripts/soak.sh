#!/usr/bin/env bash
# Runs all fault tests (tests/faults) for some minutes, with new seeds each time: scripts/soak.sh MINUTES [FILTER...]
#
# Run `make soak` to build what the tests need. Each trial adds a row to the table (TABLE, default soak.md in the target
# folder); the output of the tests goes to a file beside it. The script ends after the given time, or at the first failure,
# and prints the sums for each fault.
#
# FILTERs are arguments of the test program: names, or --skip NAME (default faults:: notify::deliveries).
#
#   THREADS=N  trials at a time (default 2)
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/setup/common.sh"

minutes=${1:?how many minutes}
shift
[ $# -gt 0 ] && filters=("$@") || filters=(faults:: notify::deliveries)
table=${TABLE:-$CARGO_TARGET_DIR/soak.md}
log=${table%.md}.log
# Short rounds, so that the script notices the end of its time early.
longest=15

built=$(scripts/cargo.sh test --release --locked --workspace --test end_to_end --no-run 2>&1) || die "$built"
# A build may replace the test program meanwhile, so run a copy.
tests=$(mktemp)
trap 'rm -f "$tests"' EXIT
install -m 700 "$(sed -n 's/.*(\(.*end_to_end-.*\))$/\1/p' <<<"$built")" "$tests"
export EVERYFRAME_BIN=${EVERYFRAME_BIN:-$CARGO_TARGET_DIR/release}
export EVERYFRAME_PLUGINS=${EVERYFRAME_PLUGINS:-$CARGO_TARGET_DIR/components/wasip2}
export EVERYFRAME_SOAK_TABLE=$table

[ -e "$table" ] || printf '| fault | on | times | frames | lost | repeated | seed |\n| --- | --- | --- | --- | --- | --- | --- |\n' >"$table"
first=$(($(wc -l <"$table") + 1))
: >"$log"

add_up() {
  echo "| fault | on | trials | times | frames | lost | repeated |"
  echo "| --- | --- | --- | --- | --- | --- | --- |"
  tail -n "+$first" "$table" | awk -F ' *[|] *' '
    { key = $2 " | " $3; if (!(key in trials)) keys[++n] = key
      trials[key]++; times[key] += $4; frames[key] += $5; lost[key] += $6; repeated[key] += $7 }
    END { for (i = 1; i <= n; i++) { k = keys[i]
      printf "| %s | %d | %d | %d | %d | %d |\n", k, trials[k], times[k], frames[k], lost[k], repeated[k] } }' | sort
}

status=0
end=$((SECONDS + 60 * minutes))
while [ "$SECONDS" -lt "$end" ] && [ "$status" = 0 ]; do
  left=$(((end - SECONDS + 59) / 60))
  export EVERYFRAME_SOAK_MINUTES=$((left < longest ? left : longest))
  echo "soak: $left minutes left" >&2
  "$tests" --test-threads "${THREADS:-2}" --nocapture --include-ignored "${filters[@]}" >>"$log" 2>&1 || status=$?
done
add_up
[ "$status" = 0 ] || die "a trial failed: see $log"
