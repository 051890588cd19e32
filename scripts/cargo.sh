#!/usr/bin/env bash
# cargo, in a target folder that several clones share: scripts/cargo.sh ARGUMENT...
#
# Sharing it saves the second clone half an hour of dependencies, but cargo takes a crate of this workspace for
# the same crate in every clone, and tells what is stale by file times only: built in one clone, then in another
# with older files, it calls these fresh and hands out the first clone's program. So here the clone that built
# last is noted; another one makes its files new before it builds, and waits for a build (or test) in progress.
#
# For an own target folder, plain cargo does.
set -euo pipefail

clone=$(cd "$(dirname "$0")/.." && pwd)
[ -n "${CARGO_TARGET_DIR:-}" ] || exec cargo "$@"
mkdir -p "$CARGO_TARGET_DIR"

exec 9>"$CARGO_TARGET_DIR/.clone.lock"
flock --nonblock 9 || { echo "waiting for another build in $CARGO_TARGET_DIR" >&2; flock 9; }
if [ "$(cat "$CARGO_TARGET_DIR/.clone" 2>/dev/null)" != "$clone" ]; then
  find . \( -name .git -o -name target \) -prune -o -type f -exec touch {} +
  echo "$clone" >"$CARGO_TARGET_DIR/.clone"
fi
cargo "$@" 9>&-
