//! What a rule tries when it is asked about a frame.

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

const CLOCK: &str = "import wasi:clocks/monotonic-clock@0.2.6; import wasi:io/poll@0.2.6;";
const SUBSCRIBE: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:io/poll@0.2.6" "[resource-drop]pollable" (func $drop (param i32)))
    (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))"#;

/// A resource of the guest's own.
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

/// Remembers that there was a frame, and does this in `configure` from the next one on.
pub(super) fn in_configure(deed: &str) -> Guest {
    let set = "(call $set (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 200))";
    let guest = after("", &format!("{SET} {GET}"), set);
    let configure = format!(
        "(call $get (i32.const 8) (i32.const 4) (i32.const 400)) (if (i32.load8_u (i32.const 400)) (then {deed})) {NOTHING}"
    );
    Guest { configure, ..guest }
}

/// Does this when it is asked for room for the camera's name, or anything else of more than 4 bytes.
fn in_realloc(deed: &str) -> Guest {
    let deed = format!("(if (i32.gt_u (local.get 3) (i32.const 4)) (then {deed})) (if (global.get $again)");
    Guest { realloc: BUMP.replacen("(if (global.get $again)", &deed, 1), ..Guest::default() }
}

/// Does this after it has answered.
fn in_post_return(deed: &str) -> Guest {
    let function = r#"(func (export "cabi_post_everyframe:rules/matching@0.1.0#decide") (param i32)"#;
    Guest { module: format!("{function} {deed})"), ..Guest::default() }
}

/// Does this when it drops a resource of its own.
fn in_destructor(deed: &str) -> Guest {
    let mut guest = after(THING, NEW, "(call $drop (call $new (i32.const 1)))");
    guest.module.push_str(&format!(r#"(func (export "things#[dtor]thing") (param i32) {deed})"#));
    guest
}

/// Has a resource whose destructor does nothing.
fn with_things(deed: &str) -> Guest {
    let mut guest = after(THING, NEW, deed);
    guest.module.push_str(r#"(func (export "things#[dtor]thing") (param i32))"#);
    guest
}

/// Six MiB of zeros to begin with.
pub(super) fn wide(guest: Guest) -> Guest {
    Guest { pages: 100, ..guest }
}

fn time() -> Vec<Attack> {
    let over = |words| Fails(TimedOut, words);
    let now = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))"#;
    vec![
        Attack::of("loops for ever", after("", "", "(loop (br 0))"), over("20 ms (it was computing)")),
        Attack {
            prepared: true,
            ..Attack::of("loops in configure", in_configure("(loop (br 0))"), over("computing"))
        },
        Attack::of("loops where the host asks for room", in_realloc("(loop (br 0))"), over("computing")),
        Attack::of("loops after its answer", in_post_return("(loop (br 0))"), over("computing")),
        Attack::of("loops in a destructor", in_destructor("(loop (br 0))"), over("computing")),
        Attack::of(
            "fills its memory for ever",
            wide(after(
                "",
                "",
                "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 6553600)) (br 0))",
            )),
            over("computing"),
        ),
        Attack::of(
            "waits by looking at the clock",
            after(
                "import wasi:clocks/monotonic-clock@0.2.6;",
                now,
                "(loop (br_if 0 (i64.ne (call $now) (i64.const 1))))",
            ),
            over("computing"),
        ),
        Attack::of(
            "sleeps for a day",
            after(CLOCK, SUBSCRIBE, "(call $block (call $subscribe (i64.const 86400000000000)))"),
            over("waiting"),
        ),
        Attack::of(
            "sleeps for longer than time itself",
            after(CLOCK, SUBSCRIBE, "(call $block (call $subscribe (i64.const -1)))"),
            over("waiting"),
        ),
        Attack::of(
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
        Attack::of(
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
        Attack::of(
            "takes memory until there is none",
            after(
                "",
                "",
                "(loop (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br 0))",
            ),
            Fails(OutOfMemory, "8 MiB of memory (`limits.memory_mb`)"),
        ),
        Attack::of(
            "asks for all memory at once, and does without",
            after("", "", "(drop (memory.grow (i32.const 60000)))"),
            Answers,
        ),
        Attack::of(
            "takes all the memory that it may have",
            after(
                "",
                "",
                "(if (i32.eq (memory.grow (i32.const 126)) (i32.const -1)) (then unreachable))
                 (memory.fill (i32.const 131072) (i32.const 1) (i32.const 8257536))",
            ),
            Answers,
        ),
        Attack::of(
            "takes table elements until there are none",
            after(
                "",
                table,
                "(loop (if (i32.eq (table.grow $t (ref.null func) (i32.const 9999)) (i32.const -1)) (then unreachable)) (br 0))",
            ),
            Fails(OutOfTable, "100000 table elements (`limits.table_elements`)"),
        ),
        Attack::of(
            "hoards the host's resources",
            after(CLOCK, SUBSCRIBE, "(loop (drop (call $subscribe (i64.const 1))) (br 0))"),
            Fails(TooManyResources, "256 of the host's resources (`limits.resources`)"),
        ),
        Attack::of(
            "hoards handles of its own",
            with_things("(loop (drop (call $new (i32.const 1))) (br 0))"),
            Fails(TooManyResources, "10000 handles (`limits.handles`)"),
        ),
        Attack::of(
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
        |imports: &str, deed: &str| after("", &format!("{imports} {KEY}"), &format!("(local $n i64) {deed}"));
    vec![
        Attack::of(
            "logs for ever",
            after("", LOG, "(loop (call $log (i32.const 1) (i32.const 8) (i32.const 4)) (br 0))"),
            over(),
        ),
        Attack::of(
            "logs a thousand lines of a MiB",
            wide(after("", LOG, "(local $n i32) (loop
                (call $log (i32.const 3) (i32.const 131072) (i32.const 1000000))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const 1000))))")),
            Answers,
        ),
        Attack::of(
            "logs what would clear a terminal",
            after("", &format!(r#"{LOG} (data (i32.const 400) "\1b[2J\1b]0;owned\07\r\nERROR forged\e2\80\ae")"#), "(call $log (i32.const 3) (i32.const 400) (i32.const 32))"),
            Answers,
        ),
        Attack::of("sets new keys for ever", keyed(SET, &format!("(loop {SET_KEY} (br 0))")), over()),
        Attack::of(
            "sets and deletes new keys for ever",
            keyed(&format!("{SET} {DELETE}"), &format!("(loop {SET_KEY} (call $delete (i32.const 512) (i32.const 256)) (br 0))")),
            over(),
        ),
        Attack::of(
            "fills its state and goes on",
            wide(keyed(SET, "(loop (call $key (local.get $n))
                (call $set (i32.const 512) (i32.const 16) (i32.const 0) (i32.const 200000) (i32.const 0) (i64.const 0) (i32.const 200))
                (local.set $n (i64.add (local.get $n) (i64.const 1)))
                (br_if 0 (i64.lt_u (local.get $n) (i64.const 10))))")),
            Answers,
        ),
        Attack::of(
            "reads its state for ever",
            after("", &format!("{SET} {GET}"), &format!("{again}
                (call $set (i32.const 8) (i32.const 4) (i32.const 0) (i32.const 60000) (i32.const 0) (i64.const 0) (i32.const 200))
                (loop (call $get (i32.const 8) (i32.const 4) (i32.const 200)) (br 0))")),
            over(),
        ),
        Attack::of(
            "lists a thousand keys for ever",
            wide(keyed(&format!("{SET} {KEYS}"), &format!("{again} (loop {SET_KEY} (br_if 0 (i64.lt_u (local.get $n) (i64.const 1000))))
                (loop (call $keys (i32.const 8) (i32.const 0) (i32.const 200)) (br 0))"))),
            over(),
        ),
        Attack::of(
            "a value that lasts for ever, and one that is over at once",
            after("", SET, "(call $set (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 4) (i32.const 1) (i64.const -1) (i32.const 200))
                (call $set (i32.const 8) (i32.const 3) (i32.const 8) (i32.const 4) (i32.const 1) (i64.const 0) (i32.const 200))"),
            Answers,
        ),
        Attack::of(
            "fetches embeddings for ever",
            after("", EMBEDDING, &format!("{again} (loop (call $get (i32.const 0) (i32.const 200)) (br 0))")),
            over(),
        ),
        Attack::of(
            "asks for people for ever",
            after("", FIND, "(loop (call $find (i32.const 8) (i32.const 4) (i32.const 200)) (br 0))"),
            over(),
        ),
        Attack::of(
            "draws random numbers for ever",
            after("import wasi:random/random@0.2.6;", random, "(loop (drop (call $random)) (br 0))"),
            over(),
        ),
        Attack::of(
            "wants a billion random bytes",
            after("import wasi:random/random@0.2.6;", random, "(call $bytes (i64.const 1000000000) (i32.const 400))"),
            Fails(Trapped, "exceeds limit 65536"),
        ),
        Attack::of(
            "writes to its standard error for ever",
            after("import wasi:cli/stderr@0.2.6; import wasi:io/streams@0.2.6;", stderr, "(local $h i32) (local.set $h (call $stderr))
                (loop (call $write (local.get $h) (i32.const 0) (i32.const 8192) (i32.const 16400)) (br 0))"),
            over(),
        ),
        Attack::of(
            "writes what would clear a terminal, and traps",
            after("import wasi:cli/stderr@0.2.6; import wasi:io/streams@0.2.6;",
                &format!(r#"{stderr} (data (i32.const 400) "\1b[2Jgone\n")"#),
                "(call $write (call $stderr) (i32.const 400) (i32.const 9) (i32.const 16400)) unreachable"),
            Fails(Trapped, "its standard error: [2Jgone"),
        ),
    ]
}

/// Addresses, lengths and handles that are none.
fn lies() -> Vec<Attack> {
    let trapped = |words| Fails(Trapped, words);
    let key_of = |bytes: u32| {
        format!(
            "(call $set (i32.const 131072) (i32.const {bytes}) (i32.const 8) (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 200))"
        )
    };
    vec![
        Attack::of("answers from outside of its memory", Guest::answering("(i32.const -16)"), trapped("pointer")),
        Attack::of("answers from an odd address", Guest::answering("(i32.const 81)"), trapped("align")),
        Attack::of("a list of a hundred million", list("", 8, 100_000_000), trapped("out of bounds")),
        Attack::of("a list that goes round the address space", list("", 0xffff_fff0, 0xffff_ffff), trapped("")),
        Attack::of(
            "a text that ends outside of its memory",
            verdict(&format!("{UNDECIDED} (i32.store (i32.const 308) (i32.const 131000)) (i32.store (i32.const 312) (i32.const 1000))")),
            trapped("out of bounds"),
        ),
        Attack::of(
            "a text of four GiB",
            verdict(&format!("{UNDECIDED} (i32.store (i32.const 312) (i32.const -1))")),
            trapped("out of bounds"),
        ),
        Attack::of(
            "a text that is none (UTF-8)",
            verdict(&format!("{UNDECIDED} (i32.store8 (i32.const 320) (i32.const 0xff)) (i32.store (i32.const 308) (i32.const 320)) (i32.store (i32.const 312) (i32.const 1))")),
            trapped("utf-8"),
        ),
        Attack::of(
            "a decision that is none",
            verdict("(i32.store8 (i32.const 304) (i32.const 7))"),
            trapped("discriminant"),
        ),
        Attack::of("gives room outside of its memory", in_realloc("(return (i32.const -8))"), trapped("")),
        Attack::of(
            "gives room at an odd address",
            in_realloc("(if (i32.gt_u (local.get 3) (i32.const 40)) (then (return (i32.const 65537))))"),
            trapped("align"),
        ),
        Attack::of("traps where the host asks for room", in_realloc("unreachable"), trapped("unreachable")),
        Attack::of(
            "logs from outside of its memory",
            after("", LOG, "(call $log (i32.const 1) (i32.const -1) (i32.const 10))"),
            trapped("out of bounds"),
        ),
        Attack::of(
            "logs at a level that is none",
            after("", LOG, "(call $log (i32.const 77) (i32.const 8) (i32.const 4))"),
            trapped("discriminant"),
        ),
        Attack::of(
            "logs four MiB at once",
            wide(after("", LOG, "(call $log (i32.const 1) (i32.const 0) (i32.const 4194304))")),
            Fails(TransferTooLarge, "(`limits.transfer_bytes`)"),
        ),
        Attack::of("a key of a megabyte", wide(after("", SET, &key_of(1_000_000))), Answers),
        Attack::of("a key of three megabytes", wide(after("", SET, &key_of(3_000_000))), Fails(TransferTooLarge, "at once")),
        Attack::of("a key of four GiB", after("", SET, &key_of(u32::MAX)), trapped("out of bounds")),
        Attack::of(
            "a key that is no text (UTF-8)",
            wide(after("", SET, &format!("(i32.store8 (i32.const 131072) (i32.const 0xc0)) {}", key_of(1)))),
            trapped("utf-8"),
        ),
        Attack::of(
            "wants the value outside of its memory",
            after("", GET, "(call $get (i32.const 8) (i32.const 4) (i32.const -4))"),
            trapped("pointer"),
        ),
        Attack::of(
            "waits for a handle that is none",
            after(CLOCK, SUBSCRIBE, "(call $block (i32.const 12345))"),
            trapped("unknown handle index"),
        ),
        Attack::of(
            "drops a handle twice",
            after(CLOCK, SUBSCRIBE, "(local $p i32) (local.set $p (call $subscribe (i64.const 1))) (call $drop (local.get $p)) (call $drop (local.get $p))"),
            trapped("unknown handle index"),
        ),
        Attack::of(
            "takes a handle of one kind for another",
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
        Attack::of("gives up", after("", "", "unreachable"), trapped("unreachable")),
        Attack::of("traps after its answer", in_post_return("unreachable"), trapped("unreachable")),
        Attack::of("traps in a destructor", in_destructor("unreachable"), trapped("unreachable")),
        Attack::of(
            "divides by zero",
            after("", "", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
            trapped("divide by zero"),
        ),
        Attack::of(
            "reads outside of its memory",
            after("", "", "(drop (i32.load (i32.const -4)))"),
            trapped("out of bounds"),
        ),
        Attack::of(
            "calls a function that is none",
            after("", "(table $t 4 funcref)", "(call_indirect (i32.const 2))"),
            trapped("uninitialized element"),
        ),
        Attack::of(
            "makes a number of what is none",
            after("", "", "(drop (i32.trunc_f32_s (f32.const nan)))"),
            trapped("conversion to integer"),
        ),
        Attack::of(
            "ends the program",
            after("import wasi:cli/exit@0.2.6;", exit, "(call $exit (i32.const 0))"),
            trapped("exited with status 0"),
        ),
    ]
}

/// What is not granted: it is not there, or the host says no; the guest traps if it gets any of it.
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
        Attack::of(
            "looks for variables",
            after(
                "import wasi:cli/environment@0.2.6;",
                r#"(import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))"#,
                "(call $environment (i32.const 400)) (if (i32.load (i32.const 404)) (then unreachable))",
            ),
            Answers,
        ),
        Attack::of(
            "looks for files",
            after(
                "import wasi:filesystem/preopens@0.2.6; import wasi:filesystem/types@0.2.6;",
                r#"(import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $folders (param i32)))"#,
                "(call $folders (i32.const 400)) (if (i32.load (i32.const 404)) (then unreachable))",
            ),
            Answers,
        ),
        Attack::of(
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
        Attack::of(
            "looks a name up",
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
