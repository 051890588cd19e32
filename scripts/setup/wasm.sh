# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# The WebAssembly targets of the Rust in use: wasip2 for the plugins, wasip1 for cargo component.

title() { echo "WebAssembly targets of Rust"; }
cost() { echo "seconds with rustup, else a minute or two to build the standard library"; }
check() { "$scripts/wasm-target.sh" --check wasm32-wasip2 wasm32-wasip1; }
make() { "$scripts/wasm-target.sh" wasm32-wasip2 wasm32-wasip1; }
advice() { echo "try 'rustup target add wasm32-wasip2 wasm32-wasip1' and read what it says, then run this again"; }
