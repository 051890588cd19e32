#!/usr/bin/env bash
# Sets this machine up for Everyframe, step by step: scripts/setup.sh STEP...
#
# Each step first looks whether what it installs is there and whole, and if so does nothing. What it downloads is
# pinned and checked, and appears under its name only when complete. Everything but the system packages and the
# WebAssembly targets (which belong to the Rust toolchain) goes to the cache folder, EVERYFRAME_CACHE.
#
# Steps, in the order in which they need each other; NAME:PART is one part of a step:
#   system:demo  system:test  system:rules  rust:build  rust:lint  python:demo  python:broker  python:test  python:rules
#   python:bench  kafka  onnxruntime  models  footage  wasm  qjs  tools:cargo-component  tools:cargo-deny  tools:cargo-fuzz
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/setup/common.sh"

[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2; }

say() { printf 'set-up: %-44s %s\n' "$1" "$2"; }

# How often a step that takes long says how far it is, seconds.
interval=${EVERYFRAME_SETUP_INTERVAL:-15}
# tell_progress TITLE LOG: says every few seconds how long a step has been at work, and the last line of its log.
tell_progress() {
  local began=$SECONDS line
  # Nobody waits for a sleep that is left over.
  while sleep "$interval" >/dev/null 2>&1; do
    line=$(tail -c 1000 "$2" | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 | sed 's/^[[:space:]]*//' | cut -c 1-90)
    say "$1" "$((SECONDS - began)) s: ${line:-at work}"
  done
}

# One set-up at a time in one cache; the lock goes when this process does.
mkdir -p "$cache" "$logs" "$downloads"
exec 9>"$cache/setup.lock"
flock --nonblock 9 || { say "another set-up is at work" "waiting for it"; flock 9; }
clean() { rm -rf "$downloads"/.fetch.* "$cache"/.new.*; }
clean   # what a set-up that was killed left behind
trap clean EXIT

run_step() {
  local name=${1%%:*} part='' log="$logs/${1/:/-}.log" began=$SECONDS
  [ "$name" = "$1" ] || part=${1#*:}
  [ -f "$scripts/setup/$name.sh" ] || { say "$1" "no such step"; exit 2; }
  # shellcheck disable=SC2016
  # A process of its own, so that the step's functions stay its own and `set -e` works in them.
  local step=(bash -euo pipefail -c 'source "$0/common.sh"; source "$0/$1.sh"; "$2" "$3"' "$scripts/setup" "$name")
  local title; title=$("${step[@]}" title "$part")
  if "${step[@]}" check "$part" >"$log" 2>&1 9>&-; then say "$title" ready; return; fi
  say "$title" "being set up: $("${step[@]}" cost "$part")"
  local made=yes progress
  tell_progress "$title" "$log" 9>&- &
  progress=$!
  "${step[@]}" make "$part" >"$log" 2>&1 9>&- && "${step[@]}" check "$part" >>"$log" 2>&1 9>&- || made=no
  kill "$progress"
  wait "$progress" || true   # it was killed, and says so
  if [ "$made" = yes ]; then
    say "$title" "ready after $((SECONDS - began)) s"
    return
  fi
  {
    echo
    say "$title" "FAILED after $((SECONDS - began)) s"
    echo "  why (the last lines of $log):"
    grep -v '^[[:space:]]*$' "$log" | tail -n 8 | cut -c 1-300 | sed 's/^/    /'
    echo "  what to do: $("${step[@]}" advice "$part")"
    echo "  Nothing half-done was left; what was ready before this step stays ready."
  } >&2
  exit 1
}

for step in "$@"; do run_step "$step"; done
