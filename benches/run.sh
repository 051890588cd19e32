#!/usr/bin/env bash
# What a frame costs, beside two pipelines that people use today: `make bench`, which sets up and builds first.
#
# The same JPEG frames, one core each, in turns, so that what the machine does meanwhile hits all alike. Compare
# the ratios of one run; times of different machines or days say little.
#
#   ROUNDS=N          rounds (default 3); the table has each pipeline's median
#   CORE=N            the core they all run on (default 0)
#   PIPELINES="..."   which, of: everyframe opencv onnxruntime
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/../scripts/setup/common.sh"

benches=$(cd "$(dirname "$0")" && pwd)
python=$venv/bin/python
frames=$cache/bench/frames
results=$cache/bench/results.jsonl
pipelines=${PIPELINES:-everyframe opencv onnxruntime}
export OPENCV_LOG_LEVEL=ERROR

"$python" "$benches/python/frames.py" "$cache"/footage/*.mp4 "$cache"/footage/*.mov "$frames"

rm -f "$results"
for round in $(seq "${ROUNDS:-3}"); do
  for pipeline in $pipelines; do
    case $pipeline in
      everyframe) command=("$CARGO_TARGET_DIR/release/everyframe" bench "$frames" --json) ;;
      opencv | onnxruntime) command=("$python" "$benches/python/${pipeline}_pipeline.py" "$frames" "$cache/models") ;;
      *) die "no such pipeline: $pipeline" ;;
    esac
    echo "bench: round $round, $pipeline" >&2
    taskset --cpu-list "${CORE:-0}" "${command[@]}" >>"$results"
  done
done
"$python" "$benches/python/table.py" "$results"
