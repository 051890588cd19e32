# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# A kcat that the embedded broker can greet. Debian 12's uses librdkafka 2.0.2, which up to 2.1 misreads the tagged
# fields of the broker's ApiVersions answer ("Read underflow"); so it is given the newer one of confluent-kafka.

wrapper=$cache/tools/bin/kcat

title() { echo "kcat with a librdkafka of 2.2 or newer"; }
cost() { echo "nothing, once kcat and confluent-kafka are there"; }

check() {
  local version
  version=$("$wrapper" -V | grep -oE 'librdkafka [0-9.]+') || return 1
  [ "$(printf '%s\n' "librdkafka 2.2.0" "$version" | sort -V | head -n 1)" = "librdkafka 2.2.0" ]
}

make() {
  local library kcat
  library=$(compgen -G "$venv/lib/python3*/site-packages/confluent_kafka.libs/librdkafka-*.so.1" | head -n 1) ||
    die "no librdkafka in $venv: the step python:test comes first"
  kcat=$(PATH=${PATH//$cache\/tools\/bin:/} command -v kcat) || die "no kcat: the step system:test comes first"
  mkdir -p "$cache/tools/bin" "$cache/tools/kcat"
  ln -sfn "$library" "$cache/tools/kcat/librdkafka.so.1"
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$cache/tools/kcat" "$kcat" >"$wrapper.new"
  chmod +x "$wrapper.new"
  mv "$wrapper.new" "$wrapper"
}

advice() { echo "rm -r '$venv', then run this again"; }
