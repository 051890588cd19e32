#!/usr/bin/env bash
# Checks the dependencies of all workspaces for known advisories, and says plainly if it could not. Exit status 1: there are
# advisories. 2: nothing is known, because there is no database.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
for manifest in Cargo.toml plugins/Cargo.toml examples/rules/Cargo.toml fuzz/Cargo.toml; do
  echo "audit: $manifest"
  cargo-deny --config deny.toml --manifest-path "$manifest" check advisories 2>&1 | tee "$log" || status=1
  # cargo-deny clones the database. No package registry has it.
  if grep --quiet "failed to fetch advisory database" "$log"; then
    echo "audit: NOT CHECKED: the RustSec database cannot be cloned from GitHub." >&2
    echo "audit: run \`make audit\` on a machine that reaches GitHub, with the same Cargo.lock files." >&2
    exit 2
  fi
done
[ $status -eq 0 ] && echo "audit: no known advisories. Write the date into SECURITY.md."
exit $status
