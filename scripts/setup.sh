#!/usr/bin/env bash
# Installs what Everyframe needs on this machine: scripts/setup.sh STEP...
#
# Each step first checks whether its files are there and complete; if so, it does nothing. Downloads are pinned and
# checked, and get their final name only when complete. Everything goes to the cache folder, EVERYFRAME_CACHE, except
# system packages and the WebAssembly targets, which belong to the Rust toolchain.
#
# Steps, in the order of their dependencies; NAME:PART is one part of a step:
#   system:demo  system:test  system:rules  system:browser  rust:build  rust:lint  python:broker  python:test  python:rules
#   python:bench  node  npm:dashboard  npm:dashboard-tests  kafka  onnxruntime  models  footage  orl  street  wasm  qjs
#   tools:cargo-component  tools:cargo-deny  tools:cargo-fuzz
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/setup/common.sh"

[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2; }

say() { printf 'set-up: %-44s %s\n' "$1" "$2"; }

# Seconds between two progress lines of a long step.
interval=${EVERYFRAME_SETUP_INTERVAL:-15}
# print_progress TITLE LOG: prints every few seconds how long a step has run, and the last line of its log.
print_progress() {
  local began=$SECONDS line
  # The output of sleep is closed, so that no caller waits for a sleep that is left over.
  while sleep "$interval" >/dev/null 2>&1; do
    # An empty log is no error.
    line=$(tail -c 1000 "$2" | tr '\r' '\n' | { grep -v '^[[:space:]]*$' || true; } | tail -n 1 | sed 's/^[[:space:]]*//' | cut -c 1-90)
    say "$1" "$((SECONDS - began)) s: ${line:-running}"
  done
}

# One set-up at a time for a cache. The lock ends with this process.
mkdir -p "$cache" "$logs" "$downloads"
exec 9>"$cache/setup.lock"
flock --nonblock 9 || { say "another set-up is running" "waiting for its end"; flock 9; }
clean() { rm -rf "$downloads"/.fetch.* "$cache"/.new.*; }
clean   # removes what a killed set-up left behind
trap clean EXIT

run_step() {
  local name=${1%%:*} part='' log="$logs/${1/:/-}.log" began=$SECONDS
  [ "$name" = "$1" ] || part=${1#*:}
  [ -f "$scripts/setup/$name.sh" ] || { say "$1" "no such step"; exit 2; }
  # shellcheck disable=SC2016
  # A separate process, so that steps cannot see each other's functions, and `set -e` works in them.
  local step=(bash -euo pipefail -c 'source "$0/common.sh"; source "$0/$1.sh"; "$2" "$3"' "$scripts/setup" "$name")
  local title; title=$("${step[@]}" title "$part")
  if "${step[@]}" check "$part" >"$log" 2>&1 9>&-; then say "$title" ready; return; fi
  say "$title" "installing: $("${step[@]}" cost "$part")"
  local made=yes progress
  print_progress "$title" "$log" 9>&- &
  progress=$!
  "${step[@]}" make "$part" >"$log" 2>&1 9>&- && "${step[@]}" check "$part" >>"$log" 2>&1 9>&- || made=no
  kill "$progress"
  wait "$progress" || true   # its exit status is that of the kill
  if [ "$made" = yes ]; then
    say "$title" "ready after $((SECONDS - began)) s"
    return
  fi
  {
    echo
    say "$title" "FAILED after $((SECONDS - began)) s"
    echo "  the last lines of $log:"
    grep -v '^[[:space:]]*$' "$log" | tail -n 8 | cut -c 1-300 | sed 's/^/    /'
    echo "  what to do: $("${step[@]}" advice "$part")"
    echo "  No incomplete files were left; earlier steps stay ready."
  } >&2
  exit 1
}

for step in "$@"; do run_step "$step"; done
