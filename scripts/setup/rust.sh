# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Rust itself is not installed by us: a machine has one Rust, and its owner chose how it got there.

oldest=1.95

title() { echo "Rust $oldest or newer"; }
cost() { echo "nothing, if it is there"; }

check() {
  local version
  version=$(rustc --version) && cargo --version >/dev/null || return 1
  version=${version#rustc }
  version=${version%% *}
  [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" = "$oldest" ] ||
    { echo "rustc is $version, which is older than $oldest"; return 1; }
}

make() { check || die "no rustc and cargo of version $oldest or newer on the PATH"; }

advice() { echo "install Rust (https://rustup.rs) or update it (rustup update stable), then run this again"; }
