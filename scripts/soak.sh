#!/usr/bin/env bash
# Makes every fault of tests/faults for so many minutes, with fresh seeds each time: scripts/soak.sh MINUTES [FILTER...]
#
# `make soak` builds what it needs. A row for each trial goes to the table (TABLE, default soak.md in the target
# folder), what the tests say to a file beside it; at the end, and after a failure, which ends it, the rows of each
# fault are added up.
#
# FILTERs are the test program's own: names, or --skip NAME.
#
#   THREADS=N  trials at a time (default 2)
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/setup/common.sh"

minutes=${1:?how many minutes}
shift
table=${TABLE:-$CARGO_TARGET_DIR/soak.md}
log=${table%.md}.log
# Longer rounds would be the same in longer, and say so later.
longest=15

built=$(scripts/cargo.sh test --release --locked -p everyframe-tests --test faults --no-run 2>&1) || die "$built"
# Others may build while it runs.
tests=$(mktemp)
trap 'rm -f "$tests"' EXIT
install -m 700 "$(sed -n 's/.*(\(.*faults-.*\))$/\1/p' <<<"$built")" "$tests"
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
  "$tests" --test-threads "${THREADS:-2}" --nocapture "$@" >>"$log" 2>&1 || status=$?
done
add_up
[ "$status" = 0 ] || die "a trial failed: see $log"
