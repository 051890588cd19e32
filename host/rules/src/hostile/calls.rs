//! The attacks of a rule during a call.

use super::Outcome::{Answers, Fails};
use super::answers::{UNDECIDED, answers, list, other_answers, verdict};
use super::{Attack, after};
use crate::FailureKind::*;
use everyframe_test_guests::{BUMP, Guest, NOTHING};

pub(super) fn all() -> Vec<Attack> {
    [time(), memory(), floods(), answers(), other_answers(), lies(), traps(), reaches()]
        .into_iter()
        .flatten()
        .collect()
}

const SET: &str =
    r#"(import "everyframe:rules/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))"#;
const GET: &str = r#"(import "everyframe:rules/state@0.1.0" "get" (func $get (param i32 i32 i32)))"#;
const DELETE: &str = r#"(import "everyframe:rules/state@0.1.0" "delete" (func $delete (param i32 i32)))"#;
const KEYS: &str = r#"(import "everyframe:rules/state@0.1.0" "keys" (func $keys (param i32 i32 i32)))"#;
const LOG: &str = r#"(import "everyframe:rules/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
const FIND: &str = r#"(import "everyframe:rules/gallery@0.1.0" "find" (func $find (param i32 i32 i32)))"#;
const EMBEDDING: &str = r#"(import "everyframe:rules/embeddings@0.1.0" "get" (func $get (param i32 i32)))"#;
const FIND_STRANGERS: &str =
    r#"(import "everyframe:rules/recent-strangers@0.2.0" "find" (func $find (param i32 i32 i32)))"#;
const MERGED_INTO: &str =
    r#"(import "everyframe:rules/recent-strangers@0.2.0" "merged-into" (func $merged (param i32 i32 i32)))"#;

const CLOCK: &str = "import wasi:clocks/monotonic-clock@0.2.6; import wasi:io/poll@0.2.6;";
const SUBSCRIBE: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:io/poll@0.2.6" "[resource-drop]pollable" (func $drop (param i32)))
    (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))"#;

/// The guest's own resource.
const THING: &str = "export things: interface { resource thing; }";
const NEW: &str = r#"
    (import "[export]things" "[resource-new]thing" (func $new (param i32) (result i32)))
    (import "[export]things" "[resource-drop]thing" (func $drop (param i32)))"#;

/// Writes the letters of a number to 512, the first 16 of a key of 256 bytes.
const KEY: &str = r#"
    (func $key (param $n i64) (local $i i32)
        (loop $next
            (i32.store8 offset=512 (local.get $i)
                (i32.add (i32.const 65) (i32.wrap_i64 (i64.and (local.get $n) (i64.const 15)))))
            (local.set $n (i64.shr_u (local.get $n) (i64.const 4)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 16)))))"#;

const SET_KEY: &str = "(call $key (local.get $n)) (local.set $n (i64.add (local.get $n) (i64.const 1)))
    (call $set (i32.const 512) (i32.const 256) (i32.const 8) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 200))";

/// An unknown-person rule of contract 0.2.0 that runs `code`.
fn strangers(imports: &str, code: &str) -> Guest {
    Guest { world: "unknown-person", version: "0.2.0", ..after("", imports, code) }
}

/// Runs `code` in `configure`, from the second frame on: the first frame stores that it happened.
pub(super) fn in_configure(code: &str) -> Guest {
    let set = "(call $set (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 200))";
    let guest = after("", &format!("{SET} {GET}"), set);
    let configure = format!(
        "(call $get (i32.const 8) (i32.const 4) (i32.const 400)) (if (i32.load8_u (i32.const 400)) (then {code})) {NOTHING}"
    );
    Guest { configure, ..guest }
}

/// Runs `code` when the host allocates memory for the camera's id, or anything else of more than 4 bytes.
fn in_realloc(code: &str) -> Guest {
    let code = format!("(if (i32.gt_u (local.get 3) (i32.const 4)) (then {code})) (if (global.get $again)");
    Guest { realloc: BUMP.replacen("(if (global.get $again)", &code, 1), ..Guest::default() }
}

/// Runs `code` after it returned its answer.
fn in_post_return(code: &str) -> Guest {
    let function = r#"(func (export "cabi_post_everyframe:rules/matching@0.1.0#decide") (param i32)"#;
    Guest { module: format!("{function} {code})"), ..Guest::default() }
}

/// Runs `code` when it drops its own resource.
fn in_destructor(code: &str) -> Guest {
    let mut guest = after(THING, NEW, "(call $drop (call $new (i32.const 1)))");
    guest.module.push_str(&format!(r#"(func (export "things#[dtor]thing") (param i32) {code})"#));
    guest
}

/// Runs `code` with a resource whose destructor does nothing.
fn with_things(code: &str) -> Guest {
    let mut guest = after(THING, NEW, code);
    guest.module.push_str(r#"(func (export "things#[dtor]thing") (param i32))"#);
    guest
}

/// Gives the guest 6 MiB of memory from the start.
pub(super) fn wide(guest: Guest) -> Guest {
    Guest { pages: 100, ..guest }
}

fn time() -> Vec<Attack> {
    let over = |words| Fails(TimedOut, words);
    let now = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))"#;
    vec![
        Attack::new("loops for ever", after("", "", "(loop (br 0))"), over("20 ms (it was computing)")),
        Attack {
            prepared: true,
            ..Attack::new("loops in configure", in_configure("(loop (br 0))"), over("computing"))
        },
        Attack::new("loops when the host allocates", in_realloc("(loop (br 0))"), over("computing")),
        Attack::new("loops after its answer", in_post_return("(loop (br 0))"), over("computing")),
        Attack::new("loops in a destructor", in_destructor("(loop (br 0))"), over("computing")),
        Attack::new(
            "fills its memory for ever",
            wide(after(
                "",
                "",
                "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 6553600)) (br 0))",
            )),
            over("computing"),
        ),
        Attack::new(
            "polls the clock for ever",
            after(
                "import wasi:clocks/monotonic-clock@0.2.6;",
                now,
                "(loop (br_if 0 (i64.ne (call $now) (i64.const 1))))",
            ),
            over("computing"),
        ),
        Attack::new(
            "sleeps for a day",
            after(CLOCK, SUBSCRIBE, "(call $block (call $subscribe (i64.const 86400000000000)))"),
            over("waiting"),
        ),
        Attack::new(
            "sleeps for the longest duration",
            after(CLOCK, SUBSCRIBE, "(call $block (call $subscribe (i64.const -1)))"),
            over("waiting"),
        ),
        Attack::new(
            "waits for the same thing many times over",
            after(
                CLOCK,
                SUBSCRIBE,
                "(local $i i32) (local $p i32) (local.set $p (call $subscribe (i64.const 86400000000000)))
                 (loop $next
                    (i32.store offset=1024 (local.get $i) (local.get $p))
                    (local.set $i (i32.add (local.get $i) (i32.const 4)))
                    (br_if $next (i32.lt_u (local.get $i) (i32.const 4000))))
                 (call $poll (i32.const 1024) (i32.const 1000) (i32.const 400))",
            ),
            over("waiting"),
        ),
        Attack::new(
            "sleeps a millisecond, for ever",
            after(
                CLOCK,
                SUBSCRIBE,
                "(local $p i32) (loop
                    (local.set $p (call $subscribe (i64.const 1000000)))
                    (call $block (local.get $p)) (call $drop (local.get $p)) (br 0))",
            ),
            over("20 ms"),
        ),
    ]
}

fn memory() -> Vec<Attack> {
    let table = "(table $t 1 funcref)";
    vec![
        Attack::new(
            "takes memory until there is none",
            after(
                "",
                "",
                "(loop (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br 0))",
            ),
            Fails(OutOfMemory, "8 MiB of memory (`limits.memory_mb`)"),
        ),
        Attack::new(
            "requests all memory at once, and continues without",
            after("", "", "(drop (memory.grow (i32.const 60000)))"),
            Answers,
        ),
        Attack::new(
            "takes all the memory that it may have",
            after(
                "",
                "",
                "(if (i32.eq (memory.grow (i32.const 126)) (i32.const -1)) (then unreachable))
                 (memory.fill (i32.const 131072) (i32.const 1) (i32.const 8257536))",
            ),
            Answers,
        ),
        Attack::new(
            "takes table elements until there are none",
            after(
                "",
                table,
                "(loop (if (i32.eq (table.grow $t (ref.null func) (i32.const 9999)) (i32.const -1)) (then unreachable)) (br 0))",
            ),
            Fails(OutOfTable, "100000 table elements (`limits.table_elements`)"),
        ),
        Attack::new(
            "hoards the host's resources",
            after(CLOCK, SUBSCRIBE, "(loop (drop (call $subscribe (i64.const 1))) (br 0))"),
            Fails(TooManyResources, "256 of the host's resources (`limits.resources`)"),
        ),
        Attack::new(
            "hoards handles of its own",
            with_things("(loop (drop (call $new (i32.const 1))) (br 0))"),
            Fails(TooManyResources, "10000 handles (`limits.handles`)"),
        ),
        Attack::new(
            "recurses for ever",
            after("", "", "(call $worst)"),
            Fails(Trapped, "call stack exhausted"),
        ),
    ]
}

fn floods() -> Vec<Attack> {
    let over = || Fails(TimedOut, "computing");
    let again = "(global.set $again (i32.const 1))";
    let random = r#"(import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
        (import "wasi:random/random@0.2.6" "get-random-bytes" (func $bytes (param i64 i32)))"#;
    let stderr = r#"(import "wasi:cli/stderr@0.2.6" "get-stderr" (func $stderr (result i32)))
        (import "wasi:io/streams@0.2.6" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))"#;
    let keyed =
        |imports: &str, code: &str| after("", &format!("{imports} {KEY}"), &format!("(local $n i64) {code}"));
    vec![
        Attack::new(
            "logs for ever",
            after("", LOG, "(loop (call $log (i32.const 1) (i32.const 8) (i32.const 4)) (br 0))"),
            over(),
        ),
        Attack::new(
            "logs a thousand lines of a MiB",
            wide(after("", LOG, "(local $n i32) (loop
                (call $log (i32.const 3) (i32.const 131072) (i32.const 1000000))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const 1000))))")),
            Answers,
        ),
        Attack::new(
            "logs control characters that clear a terminal",
            after("", &format!(r#"{LOG} (data (i32.const 400) "\1b[2J\1b]0;owned\07\r\nERROR forged\e2\80\ae")"#), "(call $log (i32.const 3) (i32.const 400) (i32.const 32))"),
            Answers,
        ),
        Attack::new("sets new keys for ever", keyed(SET, &format!("(loop {SET_KEY} (br 0))")), over()),
        Attack::new(
            "sets and deletes new keys for ever",
            keyed(&format!("{SET} {DELETE}"), &format!("(loop {SET_KEY} (call $delete (i32.const 512) (i32.const 256)) (br 0))")),
            over(),
        ),
        Attack::new(
            "fills its state and goes on",
            wide(keyed(SET, "(loop (call $key (local.get $n))
                (call $set (i32.const 512) (i32.const 16) (i32.const 0) (i32.const 200000) (i32.const 0) (i64.const 0) (i32.const 200))
                (local.set $n (i64.add (local.get $n) (i64.const 1)))
                (br_if 0 (i64.lt_u (local.get $n) (i64.const 10))))")),
            Answers,
        ),
        Attack::new(
            "reads its state for ever",
            after("", &format!("{SET} {GET}"), &format!("{again}
                (call $set (i32.const 8) (i32.const 4) (i32.const 0) (i32.const 60000) (i32.const 0) (i64.const 0) (i32.const 200))
                (loop (call $get (i32.const 8) (i32.const 4) (i32.const 200)) (br 0))")),
            over(),
        ),
        Attack::new(
            "lists a thousand keys for ever",
            wide(keyed(&format!("{SET} {KEYS}"), &format!("{again} (loop {SET_KEY} (br_if 0 (i64.lt_u (local.get $n) (i64.const 1000))))
                (loop (call $keys (i32.const 8) (i32.const 0) (i32.const 200)) (br 0))"))),
            over(),
        ),
        Attack::new(
            "a value that never expires, and one that expires at once",
            after("", SET, "(call $set (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4) (i32.const 1) (i64.const -1) (i32.const 200))
                (call $set (i32.const 8) (i32.const 3) (i32.const 8) (i32.const 4) (i32.const 1) (i64.const 0) (i32.const 200))"),
            Answers,
        ),
        Attack::new(
            "fetches embeddings for ever",
            after("", EMBEDDING, &format!("{again} (loop (call $get (i32.const 0) (i32.const 200)) (br 0))")),
            over(),
        ),
        Attack::new(
            "looks people up for ever",
            after("", FIND, "(loop (call $find (i32.const 8) (i32.const 4) (i32.const 200)) (br 0))"),
            over(),
        ),
        Attack::new(
            "looks strangers up for ever",
            strangers(FIND_STRANGERS, "(loop (call $find (i32.const 0) (i32.const -1) (i32.const 200)) (br 0))"),
            over(),
        ),
        Attack::new(
            "asks for merged strangers for ever",
            strangers(MERGED_INTO, "(loop (call $merged (i32.const 0) (i32.const 60000) (i32.const 200)) (br 0))"),
            over(),
        ),
        Attack::new(
            "draws random numbers for ever",
            after("import wasi:random/random@0.2.6;", random, "(loop (drop (call $random)) (br 0))"),
            over(),
        ),
        Attack::new(
            "requests a billion random bytes",
            after("import wasi:random/random@0.2.6;", random, "(call $bytes (i64.const 1000000000) (i32.const 400))"),
            Fails(Trapped, "exceeds limit 65536"),
        ),
        Attack::new(
            "writes to its standard error for ever",
            after("import wasi:cli/stderr@0.2.6; import wasi:io/streams@0.2.6;", stderr, "(local $h i32) (local.set $h (call $stderr))
                (loop (call $write (local.get $h) (i32.const 0) (i32.const 8192) (i32.const 16400)) (br 0))"),
            over(),
        ),
        Attack::new(
            "writes control characters to its standard error, and traps",
            after("import wasi:cli/stderr@0.2.6; import wasi:io/streams@0.2.6;",
                &format!(r#"{stderr} (data (i32.const 400) "\1b[2Jgone\n")"#),
                "(call $write (call $stderr) (i32.const 400) (i32.const 9) (i32.const 16400)) unreachable"),
            Fails(Trapped, "its standard error: [2Jgone"),
        ),
    ]
}

/// Invalid addresses, lengths and handles.
fn lies() -> Vec<Attack> {
    let trapped = |words| Fails(Trapped, words);
    let key_of = |bytes: u32| {
        format!(
            "(call $set (i32.const 131072) (i32.const {bytes}) (i32.const 8) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 200))"
        )
    };
    vec![
        Attack::new("answers from outside of its memory", Guest::answering("(i32.const -16)"), trapped("pointer")),
        Attack::new("answers from an odd address", Guest::answering("(i32.const 81)"), trapped("align")),
        Attack::new("a list of a hundred million", list("", 8, 100_000_000), trapped("out of bounds")),
        Attack::new("a list that wraps around the address space", list("", 0xffff_fff0, 0xffff_ffff), trapped("")),
        Attack::new(
            "a text that ends outside of its memory",
            verdict(&format!("{UNDECIDED} (i32.store (i32.const 308) (i32.const 131000)) (i32.store (i32.const 312) (i32.const 1000))")),
            trapped("out of bounds"),
        ),
        Attack::new(
            "a text of four GiB",
            verdict(&format!("{UNDECIDED} (i32.store (i32.const 312) (i32.const -1))")),
            trapped("out of bounds"),
        ),
        Attack::new(
            "a text that is not UTF-8",
            verdict(&format!("{UNDECIDED} (i32.store8 (i32.const 320) (i32.const 0xff)) (i32.store (i32.const 308) (i32.const 320)) (i32.store (i32.const 312) (i32.const 1))")),
            trapped("utf-8"),
        ),
        Attack::new(
            "an invalid decision",
            verdict("(i32.store8 (i32.const 304) (i32.const 7))"),
            trapped("discriminant"),
        ),
        Attack::new("allocates outside of its memory", in_realloc("(return (i32.const -8))"), trapped("")),
        Attack::new(
            "allocates at an unaligned address",
            in_realloc("(if (i32.gt_u (local.get 3) (i32.const 40)) (then (return (i32.const 65537))))"),
            trapped("align"),
        ),
        Attack::new("traps when the host allocates", in_realloc("unreachable"), trapped("unreachable")),
        Attack::new(
            "logs from outside of its memory",
            after("", LOG, "(call $log (i32.const 1) (i32.const -1) (i32.const 10))"),
            trapped("out of bounds"),
        ),
        Attack::new(
            "logs at an invalid level",
            after("", LOG, "(call $log (i32.const 77) (i32.const 8) (i32.const 4))"),
            trapped("discriminant"),
        ),
        Attack::new(
            "logs four MiB at once",
            wide(after("", LOG, "(call $log (i32.const 1) (i32.const 0) (i32.const 4194304))")),
            Fails(TransferTooLarge, "(`limits.transfer_bytes`)"),
        ),
        Attack::new("a key of a megabyte", wide(after("", SET, &key_of(1_000_000))), Answers),
        Attack::new("a key of three megabytes", wide(after("", SET, &key_of(3_000_000))), Fails(TransferTooLarge, "at once")),
        Attack::new("a key of four GiB", after("", SET, &key_of(u32::MAX)), trapped("out of bounds")),
        Attack::new(
            "a key that is not UTF-8",
            wide(after("", SET, &format!("(i32.store8 (i32.const 131072) (i32.const 0xc0)) {}", key_of(1)))),
            trapped("utf-8"),
        ),
        Attack::new(
            "requests a value outside of its memory",
            after("", GET, "(call $get (i32.const 8) (i32.const 4) (i32.const -4))"),
            trapped("pointer"),
        ),
        Attack::new(
            "waits for an invalid handle",
            after(CLOCK, SUBSCRIBE, "(call $block (i32.const 12345))"),
            trapped("unknown handle index"),
        ),
        Attack::new(
            "drops a handle twice",
            after(CLOCK, SUBSCRIBE, "(local $p i32) (local.set $p (call $subscribe (i64.const 1))) (call $drop (local.get $p)) (call $drop (local.get $p))"),
            trapped("unknown handle index"),
        ),
        Attack::new(
            "uses a handle of the wrong type",
            Guest {
                module: format!("{SUBSCRIBE} {NEW} (func $worst (call $drop_thing (call $subscribe (i64.const 1)))) (func (export \"things#[dtor]thing\") (param i32))")
                    .replace("[resource-drop]thing\" (func $drop ", "[resource-drop]thing\" (func $drop_thing "),
                wit: "import wasi:clocks/monotonic-clock@0.2.6; import wasi:io/poll@0.2.6; export things: interface { resource thing; }",
                ..after("", "", "")
            },
            trapped("handle index"),
        ),
    ]
}

fn traps() -> Vec<Attack> {
    let trapped = |words| Fails(Trapped, words);
    let exit = r#"(import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))"#;
    vec![
        Attack::new("executes unreachable", after("", "", "unreachable"), trapped("unreachable")),
        Attack::new("traps after its answer", in_post_return("unreachable"), trapped("unreachable")),
        Attack::new("traps in a destructor", in_destructor("unreachable"), trapped("unreachable")),
        Attack::new(
            "divides by zero",
            after("", "", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
            trapped("divide by zero"),
        ),
        Attack::new(
            "reads outside of its memory",
            after("", "", "(drop (i32.load (i32.const -4)))"),
            trapped("out of bounds"),
        ),
        Attack::new(
            "calls an empty table element",
            after("", "(table $t 4 funcref)", "(call_indirect (i32.const 2))"),
            trapped("uninitialized element"),
        ),
        Attack::new(
            "converts NaN to an integer",
            after("", "", "(drop (i32.trunc_f32_s (f32.const nan)))"),
            trapped("conversion to integer"),
        ),
        Attack::new(
            "ends the program",
            after("import wasi:cli/exit@0.2.6;", exit, "(call $exit (i32.const 0))"),
            trapped("exited with status 0"),
        ),
    ]
}

/// Accesses that are not granted. They find nothing or are refused; the guest traps if one succeeds.
fn reaches() -> Vec<Attack> {
    let network = "import wasi:sockets/instance-network@0.2.6; import wasi:sockets/network@0.2.6;
        import wasi:sockets/tcp@0.2.6; import wasi:sockets/tcp-create-socket@0.2.6; import wasi:sockets/ip-name-lookup@0.2.6;";
    let sockets = r#"
        (import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))
        (import "wasi:sockets/tcp-create-socket@0.2.6" "create-tcp-socket" (func $create (param i32 i32)))
        (import "wasi:sockets/tcp@0.2.6" "[method]tcp-socket.start-connect"
            (func $connect (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
        (import "wasi:sockets/ip-name-lookup@0.2.6" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))"#;
    let zeros = "(i32.const 0) ".repeat(6);
    vec![
        Attack::new(
            "reads the environment",
            after(
                "import wasi:cli/environment@0.2.6;",
                r#"(import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))"#,
                "(call $environment (i32.const 400)) (if (i32.load (i32.const 404)) (then unreachable))",
            ),
            Answers,
        ),
        Attack::new(
            "looks for files",
            after(
                "import wasi:filesystem/preopens@0.2.6; import wasi:filesystem/types@0.2.6;",
                r#"(import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $folders (param i32)))"#,
                "(call $folders (i32.const 400)) (if (i32.load (i32.const 404)) (then unreachable))",
            ),
            Answers,
        ),
        Attack::new(
            "opens a connection",
            after(
                network,
                sockets,
                &format!(
                    "(call $create (i32.const 0) (i32.const 400))
                     (if (i32.eqz (i32.load8_u (i32.const 400))) (then
                        (call $connect (i32.load (i32.const 404)) (call $network) (i32.const 0)
                            (i32.const 9) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1) {zeros} (i32.const 408))
                        (if (i32.eqz (i32.load8_u (i32.const 408))) (then unreachable))))"
                ),
            ),
            Answers,
        ),
        Attack::new(
            "resolves a host name",
            after(
                network,
                sockets,
                "(call $resolve (call $network) (i32.const 8) (i32.const 4) (i32.const 400))
                 (if (i32.eqz (i32.load8_u (i32.const 400))) (then unreachable))",
            ),
            Answers,
        ),
    ]
}
