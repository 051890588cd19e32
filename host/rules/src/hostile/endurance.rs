//! The same attacks again and again: the process stays as it was.

use super::{Host, Outcome, calls};
use std::process::Command;
use std::time::{Duration, Instant};

/// Tries of one attack, where they are done in the time below.
const TRIES: u32 = 1000;
/// Of one attack; fewer tries are made of one that runs to its time limit.
const BUDGET: Duration = Duration::from_millis(700);
/// What the process may have grown by after all tries, bytes: allocators round, and other threads begin and end.
const GROWTH: usize = 8 << 20;

/// Bytes of memory that the process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_thousand_tries_of_each_attack_leave_the_process_as_it_was() {
    // Other tests would grow this process meanwhile.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["hostile::endurance::alone", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    println!("{said}");
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "in a process of its own, by the test above"]
fn alone() {
    let attacks = calls::all();
    let mut host = Host::of(&attacks);
    let mut faults = Vec::new();
    let mut round = |host: &mut Host<'_>, at: usize, tries: u32, budget: Duration| {
        let start = Instant::now();
        let mut made = 0;
        while made < tries && (start.elapsed() < budget || made < 3) {
            let (judged, _) = host.attack(at);
            faults.extend(host.fault(at, &judged));
            made += 1;
        }
        if !host.is_well() {
            faults.push(format!("{}: the neighbour is not well", attacks[at].name));
        }
        made
    };
    for at in 0..attacks.len() {
        round(&mut host, at, 50, BUDGET / 5);
    }
    let before = resident();
    let mut tries = 0;
    for (at, attack) in attacks.iter().enumerate() {
        let (was, start) = (resident(), Instant::now());
        let made = round(&mut host, at, TRIES, BUDGET);
        tries += made;
        let kind = match attack.outcome {
            Outcome::Fails(kind, _) => kind.reason(),
            Outcome::Answers => "answers",
        };
        let each = start.elapsed().as_secs_f64() * 1e3 / f64::from(made);
        let grown = resident() as i64 - was as i64;
        println!("{made:>5} x {each:>7.3} ms  {:>6} KiB  {kind:<27} {}", grown >> 10, attack.name);
    }
    let after = resident();
    println!(
        "{} attacks, {tries} tries: resident {} KiB, then {} KiB",
        attacks.len(),
        before >> 10,
        after >> 10
    );
    assert!(faults.is_empty(), "{}", faults[..faults.len().min(20)].join("\n"));
    assert!(after < before + GROWTH, "grew from {before} to {after} bytes");
    assert_eq!(host.memory.bytes() >> 30, 0);
}
