//! The rule runtime: sandboxed WebAssembly components behind the contract in `wit/`.
