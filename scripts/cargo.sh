#!/usr/bin/env bash
# Runs cargo in a target folder that several clones share: scripts/cargo.sh ARGUMENT...
#
# Sharing saves the second clone half an hour of compiling dependencies. But cargo takes a crate of this workspace for the
# same crate in every clone, and compares file times only. After a build in one clone, it would call the older files of
# another clone fresh, and return the first clone's program. So this script records which clone built last. In another
# clone it updates the times of the files before it builds. It also waits for a running build or test.
#
# With a separate target folder for each clone, plain cargo is enough.
set -euo pipefail

clone=$(cd "$(dirname "$0")/.." && pwd)
[ -n "${CARGO_TARGET_DIR:-}" ] || exec cargo "$@"
mkdir -p "$CARGO_TARGET_DIR"

exec 9>"$CARGO_TARGET_DIR/.clone.lock"
flock --nonblock 9 || { echo "waiting for another build in $CARGO_TARGET_DIR" >&2; flock 9; }
# One record for each workspace that is built in this folder.
workspace=${PWD#"$clone"}
record=$CARGO_TARGET_DIR/.clone${workspace//\//-}
if [ "$(cat "$record" 2>/dev/null)" != "$clone" ]; then
  find . \( -name .git -o -name target \) -prune -o -type f -exec touch {} +
  echo "$clone" >"$record"
fi
cargo "$@" 9>&-
