//! Guests for the tests of the rule runtime, written in WebAssembly text and encoded as components by the test.
#![allow(clippy::unwrap_used, reason = "used by tests only")]

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const FIRST_CONTRACT: &str = include_str!("../../../wit/0.1.0/rules.wit");
const NEWEST_CONTRACT: &str = include_str!("../../../wit/0.2.0/rules.wit");

const WASI: &str = include_str!("wasi.wit");

/// The bodies of a guest's functions, in WebAssembly text. The default is a matching policy that accepts any settings and decides
/// "unknown" for faces 0 to n.
#[derive(Clone)]
pub struct Guest {
    /// The guest's world in the contract.
    pub world: &'static str,
    /// Additional imports of the world, in WIT.
    pub wit: &'static str,
    /// The contract's version. A version that does not exist has the interfaces of 0.1.0.
    pub version: &'static str,
    /// The initial size of its memory, in pages of 64 KiB.
    pub pages: u32,
    /// Additional fields of the core module; imports first.
    pub module: String,
    /// The body of `describe`: returns the address of the description. No parameters.
    pub describe: String,
    /// The body of `cabi_realloc`: returns the address of the allocated bytes. Parameters: old address, old length, alignment, new
    /// length.
    pub realloc: String,
    /// The body of `configure`: returns the address of the list of diagnostics. Parameters: `$settings`, `$settings_length`.
    pub configure: String,
    /// The body of the kind's own function: returns the address of the list of answers. Parameters: `$sequence` (i64), `$faces`
    /// (the address of the list), `$n` (its length).
    pub answer: String,
}

/// Decides "unknown" for faces 0 to n. A verdict has 20 bytes: face at 0, decision at 4, its payload from 8.
pub const ALL_UNKNOWN: &str = r#"
    (local $i i32) (local $at i32)
    (loop $next
        (if (i32.lt_u (local.get $i) (local.get $n)) (then
            (local.set $at (i32.add (i32.const 32768) (i32.mul (local.get $i) (i32.const 20))))
            (i32.store (local.get $at) (local.get $i))
            (i32.store8 offset=4 (local.get $at) (i32.const 1))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next))))
    (i32.store (i32.const 80) (i32.const 32768))
    (i32.store (i32.const 84) (local.get $n))
    (i32.const 80)
"#;

/// A bump allocator. While `$again` is set it always returns the same address, for guests that call the host for ever.
pub const BUMP: &str = r#"
    (local $at i32)
    (if (global.get $again) (then (return (i32.const 65536))))
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (local.get $at)
"#;

/// Returns an empty list, which is at address 96.
pub const NOTHING: &str = "(i32.const 96)";

impl Default for Guest {
    fn default() -> Self {
        Self {
            world: "matching-policy",
            wit: "",
            version: "0.1.0",
            pages: 2,
            module: String::new(),
            describe: "(i32.const 16)".into(),
            realloc: BUMP.into(),
            configure: NOTHING.into(),
            answer: ALL_UNKNOWN.into(),
        }
    }
}

impl Guest {
    /// A matching policy with this body of `decide`.
    pub fn answering(answer: &str) -> Self {
        Self { answer: answer.into(), ..Self::default() }
    }

    /// The core module, before it is encoded as a component.
    pub fn core_module(&self) -> Vec<u8> {
        let Self { version, pages, module, describe, realloc, configure, answer, .. } = self;
        let function = match self.world {
            "matching-policy" => "matching@VERSION#decide",
            "unknown-person" => "strangers@VERSION#observe",
            _ => "alerts@VERSION#judge",
        }
        .replace("VERSION", version);
        let text = format!(
            r#"(module
                {module}
                (memory (export "memory") {pages})
                (global $top (mut i32) (i32.const 65536))
                (data (i32.const 8) "test")
                ;; description: four times "test"
                (data (i32.const 16) "\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00")
                ;; one diagnostic, an error: "test": "test"; its list at 104
                (data (i32.const 104) "\70\00\00\00\01\00\00\00\01\00\00\00\08\00\00\00\04\00\00\00\08\00\00\00\04\00\00\00")
                (global $again (mut i32) (i32.const 0))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "everyframe:rules/rule@{version}#describe") (result i32) {describe})
                (func (export "everyframe:rules/rule@{version}#configure")
                    (param $settings i32) (param $settings_length i32) (result i32) {configure})
                (func (export "everyframe:rules/{function}")
                    (param $camera i32) (param i32) (param $session i32) (param i32)
                    (param $sequence i64) (param $captured_at i64) (param i32) (param i32)
                    (param $schedules i32) (param $schedule_count i32)
                    (param $faces i32) (param $n i32) (result i32) {answer}))"#
        );
        wat::parse_str(text).unwrap()
    }

    /// The component, as bytes.
    pub fn component(&self) -> Vec<u8> {
        let mut module = self.core_module();
        let mut resolve = Resolve::default();
        let contract = match self.version {
            "0.2.0" => NEWEST_CONTRACT.to_owned(),
            version => FIRST_CONTRACT.replace("0.1.0", version),
        };
        resolve.push_str("rules.wit", &contract).unwrap();
        resolve.push_str("wasi.wit", WASI).unwrap();
        let world = format!(
            "package test:guest; world guest {{ include everyframe:rules/{}@{}; {} }}",
            self.world, self.version, self.wit
        );
        let package = resolve.push_str("guest.wit", &world).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }
}
