#!/usr/bin/env bash
# Runs tests/dashboard in Chromium: scripts/test-dashboard.sh [PART OF A FILE'S NAME...]
#
# Against the system at EVERYFRAME_URL, or else against a demo that it starts. Run it by `make test-dashboard`, which sets the
# environment. The last line says how many tests passed and failed.
set -euo pipefail
cd "$(dirname "$0")/.."

export EVERYFRAME_PROGRAM=$CARGO_TARGET_DIR/release/everyframe
if [ -z "${EVERYFRAME_URL:-}" ]; then
  log=$(mktemp)
  "$EVERYFRAME_PROGRAM" demo --forever >"$log" 2>&1 &
  demo=$!
  # shellcheck disable=SC2064  # their present values
  trap "kill $demo 2>/dev/null || true; wait $demo || true; rm -f $log" EXIT
  echo "dashboard: starting the demo"
  for ((i = 0; i < 600; i++)); do
    EVERYFRAME_URL=$(grep --only-matching --max-count=1 'http://127\.0\.0\.1:[0-9]*' "$log" || true)
    if [ -n "$EVERYFRAME_URL" ] && curl --silent --fail "$EVERYFRAME_URL/api/v1/cameras" | grep --quiet '"captured'; then break; fi
    kill -0 $demo || { cat "$log"; echo "dashboard: the demo ended before its dashboard was ready"; exit 1; }
    sleep 0.2
  done
  export EVERYFRAME_URL
  echo "dashboard: the demo runs at $EVERYFRAME_URL"
fi
node tests/dashboard/run.mjs "$@"
