# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# npm packages, pinned with their sha512 sums by the package-lock.json of each folder. Parts: dashboard (tools that build the
# dashboard), dashboard-tests (a driver for Chromium). The downloads stay in the cache, so that another clone needs no network.

folder_of() {
  case $1 in
    dashboard) echo "$scripts/../host/web/dashboard" ;;
    dashboard-tests) echo "$scripts/../tests/dashboard" ;;
    *) die "no such part: $1" ;;
  esac
}

title() { echo "npm packages for $1"; }
cost() { echo "up to 20 MB from the npm registry, ten seconds"; }

# The installed list is kept beside the packages.
check() {
  local folder
  folder=$(folder_of "$1")
  cmp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
}

make() {
  local folder
  folder=$(folder_of "$1")
  PATH=$cache/tools/bin:$PATH npm ci --prefer-offline --no-audit --no-fund --cache "$cache/npm" --prefix "$folder"
  cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
}

advice() { echo "check that npm can reach its registry ($cache/tools/bin/npm view vite version), then run this again"; }
