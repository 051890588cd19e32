# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# This step does not install Rust: a machine has one Rust, and its owner chose how to install it.
# Parts: build (the compiler), lint (rustfmt and clippy).

oldest=1.95

title() { case $1 in lint) echo "rustfmt and clippy" ;; *) echo "Rust $oldest or newer" ;; esac; }
cost() { echo "nothing, if it is there"; }

check() {
  local version
  if [ "$1" = lint ]; then cargo fmt --version && cargo clippy --version; return; fi
  version=$(rustc --version) && cargo --version >/dev/null || return 1
  version=${version#rustc }
  version=${version%% *}
  [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" = "$oldest" ] ||
    { echo "rustc is $version, which is older than $oldest"; return 1; }
}

make() { check "$1" || die "there is no $(title "$1") on the PATH"; }

advice() {
  case $1 in
    lint) echo "add them (rustup component add rustfmt clippy), then run this again" ;;
    *) echo "install Rust (https://rustup.rs) or update it (rustup update stable), then run this again" ;;
  esac
}
