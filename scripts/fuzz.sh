#!/usr/bin/env bash
# Fuzzes the parsers of outside input with libFuzzer, for some minutes in all: scripts/fuzz.sh MINUTES [TARGET]
#
# The targets are the files of fuzz/targets. They share the time equally; a single TARGET gets all of it. Inputs that reach
# new code are kept in the target's corpus, in the cache, and the next run starts with them. The first run starts with the
# repository's components, configurations and scenarios, and with frames of the footage.
#
# The script ends at the first input that causes a panic, a crash or a timeout, and prints its path.
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/setup/common.sh"

minutes=${1:?how many minutes}
root=$(cd "$scripts/.." && pwd)
if [ -n "${2:-}" ]; then
  targets=("$2")
  [ -f "$root/fuzz/targets/$2.rs" ] || die "there is no target $2: see fuzz/targets"
else
  mapfile -t targets < <(cd "$root/fuzz/targets" && for file in *.rs; do echo "${file%.rs}"; done)
fi

corpus=$cache/fuzz-corpus
# seed TARGET FILE...: copies files into the corpus of a target, named after their paths.
seed() {
  local target=$1 file
  shift
  mkdir -p "$corpus/$target"
  for file in "$@"; do
    if [ -f "$file" ]; then cp "$file" "$corpus/$target/seed-$(sha256sum "$file" | cut -c 1-16)"; fi
  done
}

cd "$root"
seed component tests/fixtures/contract/*/*.wasm "$CARGO_TARGET_DIR"/components/wasip2/*.wasm
seed settings examples/*.toml examples/deploy/*.toml
seed scenario examples/rules/*/scenario.toml
mkdir -p "$corpus/headers" "$corpus/picture"
printf '0\n0\ngate\nsession\n1\n5\n\n\npicture\0%s' \
  $'1\n0\ngate\nsession\n\n\n2-8' >"$corpus/headers/seed-1"
printf '3\n0\ngate\nsession\n4\n5\n\nframes/0/1\npicture' >"$corpus/headers/seed-2"
if ! compgen -G "$corpus/picture/seed-*" >/dev/null; then
  # Small ones: libFuzzer works best with inputs of some kilobytes.
  "$venv/bin/python" - "$cache/footage" "$corpus/picture" <<'PYTHON'
import pathlib, sys
import cv2

clips = [clip for clip in sorted(pathlib.Path(sys.argv[1]).iterdir()) if clip.suffix in (".mp4", ".mov")]
for number, clip in enumerate(clips):
    there, frame = cv2.VideoCapture(str(clip)).read()
    if there:
        for suffix in (".jpg", ".png", ".webp"):
            cv2.imwrite(f"{sys.argv[2]}/seed-{number}{suffix}", cv2.resize(frame, (160, 90)))
PYTHON
fi

seconds=$((60 * minutes / ${#targets[@]}))
# Everything is built again with coverage counters, in a separate folder. The compiler's options for this are unstable.
export CARGO_TARGET_DIR=$cache/fuzz-target RUSTC_BOOTSTRAP=1
# No sanitizer: librdkafka's build does not link with one, and OpenCV's libraries are the system's.
how=(--release --sanitizer none)
cargo fuzz build "${how[@]}" || die "the targets cannot be built"
for target in "${targets[@]}"; do
  echo "fuzz: $target, $seconds seconds" >&2
  # Wasmtime's memory pool is address space; this bounds the memory that is really used.
  cargo fuzz run "${how[@]}" "$target" "$corpus/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 ||
    die "$target failed: the input is in fuzz/artifacts/$target; RUSTC_BOOTSTRAP=1 cargo fuzz run ${how[*]} $target FILE puts it again"
done
