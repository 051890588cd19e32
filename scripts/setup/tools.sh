# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Cargo tools that exist only as source. Parts: cargo-component, cargo-deny, cargo-fuzz.

title() { echo "$1 $(version "$1")"; }
cost() { echo "compiled once, 1 to 5 minutes; $logs/tools-$1.log shows the progress"; }

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
  # A separate build folder, which is removed afterwards: it shares nothing with the project's, and cargo locks a build
  # folder while it builds in it.
  local build=$cache/target/tools
  # Unoptimised: they compile in half the time, and are fast enough.
  CARGO_TARGET_DIR=$build CARGO_PROFILE_DEV_DEBUG=0 nice \
    cargo install --debug --locked --root "$cache/tools" "$1@$(version "$1")"
  rm -rf "$build"
}

advice() { echo "check that cargo can reach crates.io (cargo info $1), then run this again"; }
