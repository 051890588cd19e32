//! Repeats the attacks many times: the process must not grow.

use super::{Host, Outcome, calls};
use std::process::Command;
use std::time::{Duration, Instant};

/// The most repetitions of one attack.
const TRIES: u32 = 1000;
/// The most time for one attack. An attack that reaches its time limit is repeated less often.
const BUDGET: Duration = Duration::from_millis(200);
/// The allowed growth of the process, bytes: allocators round, and threads begin and end.
const GROWTH: usize = 8 << 20;

/// Resident memory of the process, bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn many_runs_of_each_attack_leak_no_memory() {
    // In its own process: other tests would grow this one meanwhile.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["hostile::endurance::run_all_attacks", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    println!("{output}");
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
#[ignore = "the test above runs it in its own process"]
fn run_all_attacks() {
    let attacks = calls::all();
    let mut host = Host::new(&attacks);
    let mut faults = Vec::new();
    let mut round = |host: &mut Host<'_>, at: usize, tries: u32, budget: Duration| {
        let start = Instant::now();
        let mut made = 0;
        while made < tries && (start.elapsed() < budget || made < 3) {
            let (judged, _) = host.attack(at);
            faults.extend(host.find_fault(at, &judged));
            made += 1;
        }
        if !host.neighbour_succeeds() {
            faults.push(format!("{}: the neighbour failed", attacks[at].name));
        }
        made
    };
    for at in 0..attacks.len() {
        round(&mut host, at, 50, BUDGET / 5);
    }
    let before = resident_bytes();
    let mut tries = 0;
    for (at, attack) in attacks.iter().enumerate() {
        let (was, start) = (resident_bytes(), Instant::now());
        let made = round(&mut host, at, TRIES, BUDGET);
        tries += made;
        let kind = match attack.outcome {
            Outcome::Fails(kind, _) => kind.reason(),
            Outcome::Answers => "answers",
        };
        let each = start.elapsed().as_secs_f64() * 1e3 / f64::from(made);
        let grown = resident_bytes() as i64 - was as i64;
        println!("{made:>5} x {each:>7.3} ms  {:>6} KiB  {kind:<27} {}", grown >> 10, attack.name);
    }
    let after = resident_bytes();
    println!(
        "{} attacks, {tries} tries: resident {} KiB, then {} KiB",
        attacks.len(),
        before >> 10,
        after >> 10
    );
    assert!(faults.is_empty(), "{}", faults[..faults.len().min(20)].join("\n"));
    assert!(after < before + GROWTH, "grew from {before} to {after} bytes");
    assert_eq!(host.state.bytes() >> 30, 0);
}
