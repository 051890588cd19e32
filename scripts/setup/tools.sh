# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Cargo tools that are to be had only as source; parts: cargo-component, cargo-deny, cargo-fuzz.

title() { echo "$1 $(version "$1")"; }
cost() { echo "compiled once, 1 to 10 minutes; $logs/tools-$1.log shows how far it is"; }

version() {
  case $1 in
    cargo-component) echo 0.21.1 ;;
    cargo-deny) echo 0.20.2 ;;
    cargo-fuzz) echo 0.13.2 ;;
    *) die "no such tool: $1" ;;
  esac
}

# Cargo writes its list after the program, so a program in the list is complete.
check() {
  [ -x "$cache/tools/bin/$1" ] && grep -q "^\"$1 $(version "$1") " "$cache/tools/.crates.toml"
}

make() {
  # A build folder of its own, which is removed afterwards: it shares nothing with the project's, and cargo
  # locks a build folder for as long as it builds in it.
  local build=$cache/target/tools
  CARGO_TARGET_DIR=$build nice cargo install --locked --root "$cache/tools" "$1@$(version "$1")"
  rm -rf "$build"
}

advice() { echo "see that cargo reaches crates.io (cargo info $1), then run this again"; }
