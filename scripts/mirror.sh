#!/usr/bin/env bash
# Brings files into another folder, each only if it differs from what is there: scripts/mirror.sh INTO PATH...
#
# So they keep the times at which they changed, and `make` in there does again only what is to be done, whatever clone
# they come from.
set -euo pipefail

into=$1
shift
find "$@" -name .git -prune -o -type f -print | while read -r file; do
  cmp --silent "$file" "$into/$file" && continue
  mkdir -p "$into/$(dirname "$file")"
  cp "$file" "$into/$file"
done
