#!/usr/bin/env bash
# What a frame costs, beside two pipelines that people use today: `make bench`, which sets up and builds first.
#
# Three sets of frames: heads (five clips of people who talk to the camera), street (a fixed camera; heads of 7 to 14
# pixels), visitors (a fixed camera; faces of 30 to 80 pixels come, walk, stand and leave). For each set the same JPEG
# frames, one core each, in turns, so that other processes of the machine affect all alike. Compare the ratios of one
# run; times of different machines or days say little. Then the faces that the default search finds are compared with
# those of the full search, and two workers with one.
#
#   ROUNDS=N          rounds (default 3); the tables have each pipeline's median
#   CORE=N            the core they all run on (default 0)
#   SETS="..."        which, of: heads street visitors
#   PIPELINES="..."   which, of: everyframe (as `run` works by default), everyframe-full (every frame searched in full,
#                     every face embedded), opencv, onnxruntime
#   WORKERS=no        without the comparison of two workers with one
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/../scripts/setup/common.sh"

benches=$(cd "$(dirname "$0")" && pwd)/python
python=$venv/bin/python
everyframe=$CARGO_TARGET_DIR/release/everyframe
frames=$cache/bench
results=$cache/bench/results
sets=${SETS:-heads street visitors}
pipelines=${PIPELINES:-everyframe everyframe-full opencv onnxruntime}
rounds=${ROUNDS:-3}
export OPENCV_LOG_LEVEL=ERROR

# make_frames SET: writes the set's frames, unless they are there.
make_frames() {
  case $1 in
    heads) "$python" "$benches/frames.py" "$cache"/footage/*.mp4 "$cache"/footage/*.mov "$frames/heads" ;;
    street) "$python" "$benches/frames.py" "$cache/street/vtest.avi" "$frames/street" ;;
    visitors) "$python" "$benches/visitors.py" "$cache/footage" "$cache/street" "$cache/models" "$frames/visitors" ;;
    *) die "no such set: $1" ;;
  esac
}

# run_pipeline PIPELINE SET: prints a line of JSON.
run_pipeline() {
  local command=("$everyframe" bench "$frames/$2" --json --results "$results/$2/$1.events")
  case $1 in
    everyframe) command+=(--tracked) ;;
    everyframe-full) ;;
    opencv | onnxruntime) command=("$python" "$benches/${1}_pipeline.py" "$frames/$2" "$cache/models") ;;
    *) die "no such pipeline: $1" ;;
  esac
  taskset --cpu-list "${CORE:-0}" "${command[@]}"
}

rm -rf "$results"
for set in $sets; do
  make_frames "$set"
  mkdir -p "$results/$set"
done
for round in $(seq "$rounds"); do
  for set in $sets; do
    for pipeline in $pipelines; do
      echo "bench: round $round, $set, $pipeline" >&2
      run_pipeline "$pipeline" "$set" >>"$results/$set/$pipeline.jsonl"
    done
  done
done
for set in $sets; do
  echo "$set"
  "$python" "$benches/table.py" "$results/$set"
  if [ -f "$results/$set/everyframe.events" ] && [ -f "$results/$set/everyframe-full.events" ]; then
    "$python" "$benches/recall.py" "$results/$set/everyframe-full.events" "$results/$set/everyframe.events"
  fi
done

[ "${WORKERS:-yes}" != no ] || exit 0
make_frames heads
mkdir -p "$results/workers"
for round in $(seq "$rounds"); do
  for workers in 1 2; do
    echo "bench: round $round, $workers workers" >&2
    "$everyframe" bench "$frames/heads" --json --tracked --workers "$workers" >>"$results/workers/$workers.jsonl"
  done
done
echo "workers"
"$python" "$benches/workers.py" "$results/workers"
