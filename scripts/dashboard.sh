#!/usr/bin/env bash
# Builds the dashboard into host/web/dashboard/dist, which the host contains. Does nothing if no source has changed since.
set -euo pipefail
cd "$(dirname "$0")/../host/web/dashboard"

# Contents rather than times: another branch may have the same sources with other times.
sources=$(find . \( -name node_modules -o -name dist \) -prune -o -type f ! -name '*.md' -print0 | sort --zero-terminated |
  xargs --null sha256sum | sha256sum)
built=node_modules/.built-sources
if [ -f dist/index.html ] && [ "$(cat $built 2>/dev/null)" = "$sources" ]; then
  echo "build: the dashboard is up to date"
  exit
fi
echo "build: the dashboard"
rm -f $built
npm run --silent build -- --logLevel warn
echo "$sources" >$built
