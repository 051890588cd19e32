# shellcheck shell=bash disable=SC2034  # the scripts that source this read the variables
# Functions that the steps share. A step is a file with five functions; each gets the part as its argument:
#   title    what it installs, in a few words
#   cost     roughly how long it takes, or how much it downloads
#   check    succeeds if it is installed and complete; quick, because it runs every time
#   make     installs it; its output goes to a log
#   advice   what the user should do if make failed

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${EVERYFRAME_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/everyframe}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
downloads=$cache/downloads
logs=$cache/logs
venv=$cache/python
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# Prints the advice for a download from a package index.
index_advice() {
  echo "check that pip can reach its package index ($venv/bin/pip download --no-deps $1), then run this again"
}

# die MESSAGE: ends the step. The message is the last line of its log, which the user sees.
die() { echo "$*" >&2; exit 1; }

# whole FOLDER LIST: checks that the files in FOLDER have the sha256 sums of scripts/checksums/LIST.sha256.
whole() {
  "$venv/bin/python" "$scripts/checksums.py" "$1" "$scripts/checksums/$2.sha256"
}

# fetch FILE SHA256 PIP-DOWNLOAD-ARGUMENT...: downloads FILE by pip, and keeps it if its sum is right.
fetch() {
  local file=$1 sum=$2 temp got
  shift 2
  if [ -f "$downloads/$file" ]; then
    if [ "$(sum_of "$downloads/$file")" = "$sum" ]; then return; fi
    echo "$downloads/$file is damaged: downloading it again"
  fi
  temp=$(mktemp -d "$downloads/.fetch.XXXXXX")
  if ! "$venv/bin/python" -m pip download --quiet --no-deps --dest "$temp" "$@"; then
    rm -rf "$temp"
    die "pip could not download $file"
  fi
  if [ ! -f "$temp/$file" ]; then
    got=$(ls "$temp")
    rm -rf "$temp"
    die "pip downloaded ${got:-nothing}, not $file"
  fi
  got=$(sum_of "$temp/$file")
  if [ "$got" != "$sum" ]; then
    rm -rf "$temp"
    die "$file has sha256 $got instead of $sum: damaged on the way, or changed by its publisher"
  fi
  mv "$temp/$file" "$downloads/$file"
  rm -rf "$temp"
}

sum_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# new_folder: creates an empty folder on the cache's disk, for install_folder.
new_folder() { mktemp -d "$cache/.new.XXXXXX"; }

# install_folder NEW NAME LIST: moves the finished folder NEW to its place in the cache, if its sums are right.
install_folder() {
  local old
  whole "$1" "$3" || die "the files for $cache/$2 do not have the sums of scripts/checksums/$3.sha256"
  chmod 755 "$1"
  if [ -e "$cache/$2" ]; then
    old=$(mktemp -d "$cache/.new.XXXXXX")
    mv "$cache/$2" "$old/"
  fi
  mv "$1" "$cache/$2"
  rm -rf "${old:-$1}"
}
