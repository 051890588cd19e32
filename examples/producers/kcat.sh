#!/usr/bin/env bash
# Puts pictures into the frames topic with kcat: the least that a producer must do.
#
#   kcat.sh [-t TOPIC] BROKER CAMERA PICTURE_OR_FOLDER...
#
# One record for each picture (JPEG, PNG or WebP), in order of name within a folder: value = the file's bytes,
# key = the camera. Everyframe needs nothing else; without headers, a frame is known by partition and offset.
# Example: kcat.sh 127.0.0.1:9092 front-door pictures/
set -euo pipefail

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

topic=frames
while getopts t: option; do
  case $option in t) topic=$OPTARG ;; *) usage ;; esac
done
shift $((OPTIND - 1))
[ $# -ge 3 ] || usage
broker=$1 camera=$2
shift 2

files=()
for path in "$@"; do
  if [ -d "$path" ]; then
    while IFS= read -r -d '' file; do files+=("$file"); done < <(
      find "$path" -maxdepth 1 -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' -o -iname '*.webp' \) \
        -print0 | sort -z
    )
  elif [ -f "$path" ]; then
    files+=("$path")
  else
    echo "kcat.sh: no such file or folder: $path" >&2
    exit 1
  fi
done
[ ${#files[@]} -gt 0 ] || { echo "kcat.sh: no pictures in: $*" >&2; exit 1; }

# Given files, kcat sends each one whole, waits for the acknowledgements, and fails if one is missing.
printf '%s\0' "${files[@]}" |
  xargs -0 -n 500 kcat -P -b "$broker" -t "$topic" -k "$camera" \
    -X acks=all -X enable.idempotence=true -X message.max.bytes=10000000 -X message.timeout.ms=30000 ||
  { echo "kcat.sh: not every picture of $camera was acknowledged" >&2; exit 1; }
echo "sent ${#files[@]} pictures of $camera to $topic"
