#!/usr/bin/env bash
# Installs WebAssembly targets for the Rust in use: wasm-target.sh [--check] TARGET...
#
# TARGET: wasm32-wasip2, wasm32-wasip1 or wasm32-unknown-unknown. For each target the script:
#   1. does nothing if a program that uses std compiles and links;
#   2. else tries `rustup target add`;
#   3. without rustup, or without a network, builds std from the source of this rustc version (Debian's package rust-src)
#      with Debian's wasi-libc, and installs it where rustup would.
# --check only checks quickly whether all targets are there.
#
# Environment: WASM_TARGET_NO_RUSTUP=1 skips step 2 (to test step 3); WASM_TARGET_SUITES="NAME..." are the Debian suites to
# search; WASM_TARGET_LIBRARY=DIR is the `library` folder of this rustc's source, instead of Debian's.
set -euo pipefail
# shellcheck source=scripts/setup/common.sh
source "$(dirname "$0")/setup/common.sh"

say() { echo "wasm-target: $*"; }

# The caller's flags and wrappers must not affect the test program or std.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS RUSTC_WRAPPER CARGO_TARGET_DIR

checking=no
if [ "${1:-}" = --check ]; then checking=yes; shift; fi
[ $# -gt 0 ] || die "no target named; try: $0 wasm32-wasip2"
for target in "$@"; do
  case $target in
    wasm32-wasip1 | wasm32-wasip2 | wasm32-unknown-unknown) ;;
    *) die "unknown target $target; known: wasm32-wasip2, wasm32-wasip1, wasm32-unknown-unknown" ;;
  esac
done

rustlib=$(rustc --print sysroot)/lib/rustlib
about=$(rustc --version --verbose)
release=$(sed -n 's/^release: //p' <<<"$about")
commit=$(sed -n 's/^commit-hash: //p' <<<"$about")
home=$cache/wasm-target
mkdir -p "$home"

# A successful test is recorded under the rustc, its folder, and the library's name, which contains a hash.
trial_mark() { echo "$commit $rustlib $(cd "$rustlib/$1/lib" && echo libstd-*.rlib)"; }
mark_file() { echo "$home/tried-$1-$(cksum <<<"$rustlib" | cut -d ' ' -f 1)"; }

is_known_good() {
  compgen -G "$rustlib/$1/lib/libstd-*.rlib" >/dev/null &&
    [ "$(trial_mark "$1")" = "$(cat "$(mark_file "$1")" 2>/dev/null)" ]
}

# Checks that a program that uses std compiles and links, and records the success.
works() {
  local target=$1 program magic want=0061736d01000000   # a core module
  compgen -G "$rustlib/$target/lib/libstd-*.rlib" >/dev/null || return 1
  program=$(mktemp -d)
  cat >"$program/trial.rs" <<'RUST'
use std::collections::HashMap;
fn main() {
    let roots: HashMap<u32, String> = (0..3).map(|n| (n, format!("{:.3}", f64::from(n).sqrt()))).collect();
    println!("{roots:?}");
}
RUST
  if rustc --edition 2024 --target "$target" -O -o "$program/trial.wasm" "$program/trial.rs"; then
    magic=$(od -An -tx1 -N8 "$program/trial.wasm" | tr -d ' \n')
  fi
  rm -rf "$program"
  if [ "$target" = wasm32-wasip2 ]; then want=0061736d0d000100; fi   # a component
  [ "${magic:-}" = "$want" ] || return 1
  trial_mark "$target" >"$(mark_file "$target")"
}

by_rustup() {
  [ -z "${WASM_TARGET_NO_RUSTUP:-}" ] && command -v rustup >/dev/null || return 1
  say "$1: trying rustup"
  timeout 300 rustup target add "$1" || { say "rustup could not add it"; return 1; }
}

# debian_package NAME VERSION-PATTERN FOLDER: unpacks a signed package of a newer Debian into FOLDER. apt uses separate
# lists and a separate cache: the machine's sources stay unchanged, and nothing is installed.
debian_package() {
  local name=$1 pattern=$2 folder=$3 mirror keys suite apt version
  command -v apt-get >/dev/null || return 1
  mirror=$(grep -rhE '^(deb |URIs:)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1) || true
  mirror=${mirror:-http://deb.debian.org/debian}
  keys=$(compgen -G "/usr/share/keyrings/debian-archive-keyring.*" | head -n 1)
  for suite in ${WASM_TARGET_SUITES:-trixie-backports forky sid trixie}; do
    mkdir -p "$home/apt/$suite"/{lists,cache/archives}/partial
    echo "deb [signed-by=$keys] ${mirror% } $suite main" >"$home/apt/$suite/sources.list"
    apt=(-q -o "Dir::Etc::sourcelist=$home/apt/$suite/sources.list" -o Dir::Etc::sourceparts=-
      -o "Dir::State::lists=$home/apt/$suite/lists" -o "Dir::Cache=$home/apt/$suite/cache"
      -o APT::Sandbox::User=root -o Acquire::Retries=3)
    apt-get "${apt[@]}" update || continue
    version=$(apt-cache "${apt[@]}" madison "$name" | awk -F ' *\\| *' '{print $2}' | grep -E "$pattern" | head -n 1) ||
      continue
    say "$name $version from Debian $suite"
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new"
    (cd "$folder.new" && apt-get "${apt[@]}" download "$name=$version" && dpkg-deb -x "$name"_*.deb . && rm "$name"_*.deb) ||
      continue
    mv "$folder.new" "$folder"
    return
  done
  return 1
}

# Sets `library` to the source of this rustc's standard library.
find_library() {
  library=${WASM_TARGET_LIBRARY:-$rustlib/src/rust/library}
  [ ! -f "$library/Cargo.lock" ] || return 0
  [ -d "$work/rust-src" ] || debian_package rust-src "^${release//./\\.}(\\+|-)" "$work/rust-src" ||
    die "no source of the standard library of rustc $release: 'rustup component add rust-src', or set WASM_TARGET_LIBRARY"
  library=$(echo "$work"/rust-src/usr/src/rustc-*/library)
  # Debian removes prebuilt objects from the vendored crates, for example wit-bindgen's, so cargo must download these crates
  # from crates.io. std's own Cargo.lock pins and checks them.
  rm -rf "$library/vendor"
}

by_source() {
  local target=$1 built=$home/$release-${commit:0:9}/$1 work=$home/work library f
  if [ ! -d "$built" ]; then
    mkdir -p "$work"
    find_library
    if [[ $target == *-wasi* ]] && [ ! -d "$work/wasi-libc" ]; then
      debian_package wasi-libc '^0\.0~git202[6-9]' "$work/wasi-libc" || die "no wasi-libc of 2026 or later in Debian"
    fi
    say "$target: building std $release"
    # RUSTC_BOOTSTRAP allows std to use unstable features, as in a build of rustc. The metadata and force-unstable
    # separate std's private crates from a user's copies of them. `dist` is std's own profile.
    RUSTC_BOOTSTRAP=1 __CARGO_DEFAULT_LIB_METADATA=stablestd CARGO_TARGET_DIR=$work/target \
      CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f%s\x1f%s' -Zforce-unstable-if-unmarked \
        "--remap-path-prefix=$library=/rustc/$commit/library" \
        "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/rust/deps") \
      cargo build --quiet --locked --profile dist --manifest-path "$library/sysroot/Cargo.toml" \
      --no-default-features --features panic-unwind,backtrace --target "$target"
    rm -rf "$built.new"
    mkdir -p "$built.new/lib"
    for f in "$work/target/$target"/dist/deps/*.rlib; do
      [[ $f == */libsysroot-* ]] || cp "$f" "$built.new/lib/"
    done
    if [[ $target == *-wasi* ]]; then
      mkdir "$built.new/lib/self-contained"
      cp "$work/wasi-libc/usr/lib/$target"/{libc.a,crt1-command.o,crt1-reactor.o} "$built.new/lib/self-contained/"
    fi
    mv "$built.new" "$built"
  fi
  # Moved into the toolchain by a rename, so that no other cargo sees an incomplete folder.
  rm -rf "$rustlib/.$target.new" "${rustlib:?}/$target"
  cp -r "$built" "$rustlib/.$target.new"
  mv "$rustlib/.$target.new" "$rustlib/$target"
}

for target in "$@"; do
  if is_known_good "$target"; then continue; fi
  if [ $checking = yes ]; then exit 1; fi
  if works "$target"; then say "$target: already installed"; continue; fi
  if by_rustup "$target" && works "$target"; then say "$target: added by rustup"; continue; fi
  by_source "$target"
  works "$target" || die "$target was built and installed, but no program links with it"
  say "$target: built from source"
done
if [ $checking = no ]; then rm -rf "$home/work" "$home/apt"; fi
