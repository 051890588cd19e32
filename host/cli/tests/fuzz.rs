//! What comes from outside, damaged in every way: nothing may panic, nothing may hang.
//!
//! A few seconds for each target, with seeds of their own each time. `make fuzz` looks longer, and for what no code has
//! met yet.
//!
//!   EVERYFRAME_FUZZ_SECONDS=N  for each target (default 2)
//!   EVERYFRAME_SEED=N          the same inputs again
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

#[path = "../../../tests/support/dice.rs"]
#[allow(dead_code)]
mod dice;

use dice::Dice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer, and an input is said to hang.
const LONGEST: Duration = Duration::from_secs(10);

/// Damaged inputs do not grow beyond this.
const LARGEST: usize = 1 << 20;

/// Set for the process in which pictures are decoded.
const INNER: &str = "EVERYFRAME_FUZZ_INNER";

/// What readers of numbers, texts and TOML might trip over.
const WORDS: [&[u8]; 16] = [
    b"-9223372036854775808",
    b"9223372036854775807",
    b"18446744073709551615",
    b"0",
    b"-1",
    b"1e400",
    b"nan",
    b"-inf",
    b"\xff\xfe",
    b"\0",
    b"\n",
    b"[[",
    b"\"",
    b"{ a = ",
    b"9999-12-31T23:59:59.999999999Z",
    "\u{202e}\u{1f600}".as_bytes(),
];

#[test]
fn no_component_panics_or_hangs() {
    let mut seeds = files(&["tests/fixtures/contract/0.1.0"], "wasm");
    seeds.extend(SMALL.map(|text| wat::parse_str(text).unwrap()));
    fuzz("component", targets::component, &seeds);
}

#[test]
fn no_settings_panic_or_hang() {
    let mut seeds = files(&["examples", "examples/deploy"], "toml");
    seeds.push(SETTINGS.into());
    fuzz("settings", targets::settings, &seeds);
}

#[test]
fn no_scenario_panics_or_hangs() {
    let rules = std::fs::read_dir(repository("examples/rules")).unwrap();
    let texts = rules.filter_map(|rule| std::fs::read(rule.unwrap().path().join("scenario.toml")).ok());
    let seeds: Vec<Vec<u8>> = texts.collect();
    fuzz("scenario", targets::scenario, &seeds);
}

#[test]
fn no_headers_panic_or_hang() {
    let seeds = [
        &b"7\n1795392000000\ngate\nsession\n3\n1795392000001\n\n\npicture"[..],
        b"0\n0\ngate\nsession\n1\n5\0\
          1\n0\ngate\nsession\n9\n5\0\
          2\n0\ngate\nsession\n\n\n2-8\n\n\0\
          3\n0\ngate\nsession\n4\n5\n\nframes/0/1\npicture",
        b"0\n9223372036854775807\ngate\ns\n9223372036854775807\n-9223372036854775808\0\
          1\n0\ngate\ns\n\n\n0-18446744073709551615\n\n",
    ];
    fuzz("headers", targets::headers, &seeds.map(<[u8]>::to_vec));
}

#[test]
fn no_picture_panics_or_hangs() {
    // The decoders complain about every picture on the standard error of the process: another one, whose words are
    // only of interest if it fails.
    if std::env::var_os(INNER).is_none() {
        let inner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "no_picture_panics_or_hangs", "--nocapture"])
            .env(INNER, "1")
            .output()
            .unwrap();
        let log_once =
            |line: &&str| ["Corrupt JPEG", "libpng", "Premature end"].iter().any(|it| line.starts_with(it));
        let said = String::from_utf8_lossy(&inner.stderr);
        let said: Vec<&str> = said.lines().filter(|line| !log_once(line)).collect();
        print!("{}", String::from_utf8_lossy(&inner.stdout));
        assert!(inner.status.success(), "{}: {}", inner.status, said.join("\n"));
        return;
    }
    let folder = std::fs::read_dir(repository("tests/fixtures/pictures")).unwrap();
    let seeds: Vec<Vec<u8>> = folder
        .filter_map(|file| std::fs::read(file.unwrap().path()).ok())
        .filter(|bytes| bytes.len() < 16 << 10)
        .collect();
    fuzz("picture", targets::picture, &seeds);
}

#[test]
#[should_panic = "picky panics: EVERYFRAME_SEED="]
fn a_panic_is_found() {
    let picky = |bytes: &[u8]| {
        assert_eq!(bytes, b"the seed alone");
        true
    };
    fuzz("picky", picky, &[b"the seed alone".to_vec()]);
}

/// Components that are no rules, quickly compiled.
const SMALL: [&str; 3] = [
    r#"(component
        (core module $m (memory (export "m") 1) (table 3 funcref) (global (mut i32) (i32.const 7))
            (func (export "f") (param i32) (result i32) (local.get 0) (if (then (loop (br 0)))) (global.get 0))
            (data (i32.const 8) "data"))
        (core instance $i (instantiate $m))
        (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))"#,
    r#"(component
        (import "wasi:cli/environment@0.2.6" (instance (export "get-arguments" (func (result (list string))))))
        (import "everyframe:rules/state@0.1.0" (instance))
        (core module $m (func $s (loop (br 0))) (start $s))
        (core instance (instantiate $m))
        (instance $i)
        (export "everyframe:rules/matching@0.1.0" (instance $i)))"#,
    r#"(component
        (type $r (resource (rep i32)))
        (component $c (type (record (field "a" (list (tuple u8 f32))) (field "b" (option string)))))
        (instance (instantiate $c))
        (export "r" (type $r)))"#,
];

/// A configuration with what the examples leave out.
const SETTINGS: &str = r#"
[kafka]
brokers = "localhost:9092"
[kafka.properties]
"socket.keepalive.enable" = true
"ssl.key.password" = { env = "HOME" }
[vision.detector]
score = 0.7
[[zones]]
name = "door"
cameras = ["gate*"]
polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
[[masks]]
polygon = [[0, 0], [0.5, 0], [0.5, 1]]
[[schedules]]
name = "night"
time_zone = "Europe/Berlin"
hours = [{ days = ["mon", "sun"], from = "18:00", to = "7:00" }]
[[rules]]
name = "who"
kind = "matching-policy"
component = "who.wasm"
zones = ["door"]
schedule = "night"
[rules.settings]
threshold = 0.5
people = { anna = [1, 2.5, 2026-11-24T07:00:00Z] }
[rules.limits]
time_ms = 100
[rules.grants]
http = ["a.example"]
[rules.grants.environment]
TOKEN = { env = "HOME" }
"#;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The files of folders of the repository that end so.
fn files(folders: &[&str], extension: &str) -> Vec<Vec<u8>> {
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(repository(folder)).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|it| it == extension));
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

/// Gives a target the seeds as they are, of which it must take one, and then damaged ones until the time is over. An
/// input on which it panics or hangs is kept in a file.
fn fuzz(name: &'static str, target: fn(&[u8]) -> bool, seeds: &[Vec<u8>]) {
    let seconds =
        std::env::var("EVERYFRAME_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let dice = Dice::new();
    let seed = dice.seed();
    let kept = |input: &[u8]| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        std::fs::write(&path, input).unwrap();
        format!("EVERYFRAME_SEED={seed}; the input is kept in {}", path.display())
    };
    let (inputs, asked) = channel::<Vec<u8>>();
    let (answers, answered) = channel();
    std::thread::spawn(move || {
        for input in asked {
            let taken = catch_unwind(AssertUnwindSafe(|| target(&input)));
            answers.send(taken.map_err(|_| ())).ok();
        }
    });
    let put = |input: &[u8]| {
        inputs.send(input.to_vec()).unwrap();
        match answered.recv_timeout(LONGEST) {
            Ok(Ok(taken)) => taken,
            Err(RecvTimeoutError::Timeout) => panic!("{name} hangs: {}", kept(input)),
            _ => panic!("{name} panics: {}", kept(input)),
        }
    };
    let taken = seeds.iter().filter(|seed| put(seed)).count();
    assert!(taken > 0, "{name}: none of {} seeds is taken", seeds.len());
    let (mut damaged, mut took) = (0u64, 0u64);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        took += u64::from(put(&damage(&dice, seeds)));
        damaged += 1;
    }
    let a_second = damaged as f64 / began.elapsed().as_secs_f64();
    println!(
        "{name}: {taken} of {} seeds taken, {took} of {damaged} damaged ones, {a_second:.0} a second",
        seeds.len()
    );
}

/// A number below this one.
fn below(dice: &Dice, end: usize) -> usize {
    dice.below(end as u64) as usize
}

/// A stretch of bytes, mostly short.
fn stretch(dice: &Dice, length: usize) -> std::ops::Range<usize> {
    let start = below(dice, length + 1);
    let most = if below(dice, 4) == 0 { length } else { 16 };
    start..(start + below(dice, most + 1)).min(length)
}

/// One of the seeds, damaged in one place or a few: the less, the deeper it gets.
fn damage(dice: &Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[below(dice, seeds.len())].clone();
    for _ in 0..1 << below(dice, 4) {
        let at = below(dice, bytes.len() + 1);
        let span = stretch(dice, bytes.len());
        match below(dice, 8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << below(dice, 8),
            2 if at < bytes.len() => bytes[at] = [0, 0x7f, 0x80, 0xff][below(dice, 4)],
            3 => drop(bytes.drain(span)),
            4 => {
                let again = bytes[span].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                let other = &seeds[below(dice, seeds.len())];
                let piece = other[stretch(dice, other.len())].to_vec();
                bytes.splice(span, piece);
            }
            6 => {
                // In place of a number, if there is one from here on.
                let digits = |byte: &u8| byte.is_ascii_digit();
                let from = at + bytes[at..].iter().position(digits).unwrap_or_default();
                let to = from + bytes[from..].iter().take_while(|byte| digits(byte)).count();
                bytes.splice(from..to, WORDS[below(dice, WORDS.len())].iter().copied());
            }
            _ if below(dice, 4) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes.truncate(LARGEST);
    bytes
}
