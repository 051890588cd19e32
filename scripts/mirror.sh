#!/usr/bin/env bash
# Copies files into another folder, each only if its content differs: scripts/mirror.sh INTO PATH...
#
# So unchanged files keep their times, and `make` in that folder rebuilds only what changed, whichever clone the files come
# from.
set -euo pipefail

into=$1
shift
find "$@" -name .git -prune -o -type f -print | while read -r file; do
  cmp --silent "$file" "$into/$file" && continue
  mkdir -p "$into/$(dirname "$file")"
  cp "$file" "$into/$file"
done
