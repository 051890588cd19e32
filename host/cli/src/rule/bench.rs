//! `everyframe rule bench`

use super::{open_rule, size, test};
use crate::DONE;
use anyhow::{Context as _, Result, anyhow, bail};
use everyframe_config::{RuleKind, RuleSettings};
use everyframe_rule_tools::record::problem_text;
use everyframe_rule_tools::scenario::{Scenario, evaluate_frame};
use everyframe_rules::{CallCost, RuleRunner, RuleState, kind_name};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Calls before it counts: code and caches are warm then.
const WARM_UP: usize = 50;

#[derive(clap::Args)]
pub struct Arguments {
    /// The component (`.wasm`).
    component: PathBuf,
    /// A scenario, put to the rule again and again; its settings are the rule's.
    scenario: Option<PathBuf>,
    /// How many calls are measured.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    calls: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What calls took.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    what: String,
    calls: usize,
    /// Microseconds, the instance's start included.
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    /// Instructions of the guest, about; the median.
    p50_fuel: u64,
    /// The largest linear memory of one call.
    memory_bytes: usize,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let runtime = crate::runtime()?;
    let (opened, mut rule) = open_rule(&arguments.component, runtime)?;
    let mut put = Vec::new();
    let text = one_face(rule.kind);
    let one = Scenario::parse(&text, Path::new("one face"), rule.kind).map_err(|problems| {
        anyhow!("the question does not fit: {}; report this as a bug", super::lines(&problems))
    })?;
    put.push(("one face".to_owned(), one));
    if let Some(file) = &arguments.scenario {
        let (_, scenario) = test::read(file, rule.kind)?;
        rule = RuleSettings { settings: scenario.settings.clone(), ..rule };
        put.push((file.display().to_string(), scenario));
    }
    let calls = arguments.calls as usize;
    let mut figures: Vec<Figures> = Vec::new();
    for reuse in [false, true] {
        rule.reuse = reuse;
        let ready = opened.configure(&rule).map_err(|problems| {
            let texts: Vec<String> = problems.iter().map(problem_text).collect();
            anyhow!("{}", super::lines(&texts)).context("the rule does not take its settings")
        })?;
        for (what, scenario) in &put {
            let instance = if reuse { "reused" } else { "fresh" };
            figures.push(measure(&format!("{what}, {instance}"), scenario, &ready, calls)?);
        }
    }
    if arguments.json {
        for figures in &figures {
            println!("{}", serde_json::to_string(figures)?);
        }
        return Ok(DONE);
    }
    let description = opened.describe(&rule).map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(problem_text).collect();
        anyhow!("{}", super::lines(&texts))
    })?;
    println!(
        "{} {} ({}), {calls} calls each: in a fresh instance for each call, and in one that stays (`reuse`)",
        description.title,
        description.version,
        kind_name(description.kind)
    );
    let width = figures.iter().map(|it| it.what.chars().count()).max().unwrap_or_default();
    println!("{:width$}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}", "", "p50", "p99", "most", "fuel", "memory");
    for Figures { what, p50_us, p99_us, max_us, p50_fuel, memory_bytes, .. } in &figures {
        let memory = size(*memory_bytes);
        println!(
            "{what:width$}  {p50_us:>7.1} µs  {p99_us:>7.1} µs  {max_us:>7.1} µs  {p50_fuel:>10}  {memory:>10}"
        );
    }
    let limits = &rule.limits;
    println!("limits by default: {} ms, {} MiB", limits.time_ms, limits.memory_mb);
    Ok(DONE)
}

/// Evaluates the rule on the frames until it was called so many times. Each round starts without rule state.
fn measure(what: &str, scenario: &Scenario, rule: &RuleRunner<'_>, calls: usize) -> Result<Figures> {
    let mut costs: Vec<CallCost> = Vec::with_capacity(calls);
    let mut memory = RuleState::new();
    for (number, frame) in scenario.frames.iter().cycle().take(WARM_UP + calls).enumerate() {
        let at = number % scenario.frames.len();
        if at == 0 {
            memory = RuleState::new();
        }
        match evaluate_frame(frame, &scenario.people, rule, &mut memory) {
            Ok((_, cost)) if number >= WARM_UP => costs.push(cost),
            Ok(_) => {}
            Err(failure) => bail!("{what}: frame {}: {}", at + 1, failure.message),
        }
    }
    costs.sort_unstable_by_key(|cost| cost.fuel);
    let p50_fuel = costs.get(costs.len() / 2).map_or(0, |cost| cost.fuel);
    costs.sort_unstable_by_key(|cost| cost.time);
    let at = |share: f64| {
        let place = ((costs.len() as f64 * share) as usize).min(costs.len().saturating_sub(1));
        costs.get(place).map(|cost| cost.time.as_secs_f64() * 1e6).context("nothing was measured")
    };
    Ok(Figures {
        what: what.to_owned(),
        calls: costs.len(),
        p50_us: at(0.5)?,
        p99_us: at(0.99)?,
        max_us: at(1.0)?,
        p50_fuel,
        memory_bytes: costs.iter().map(|cost| cost.memory).max().unwrap_or_default(),
    })
}

/// A minute of frames with one face, as a rule of the kind meets it.
fn one_face(kind: RuleKind) -> String {
    let face = match kind {
        RuleKind::MatchingPolicy => {
            "candidates = { anna = 0.71, bo = 0.22, cy = 0.17, dee = 0.12, eve = 0.05 }".to_owned()
        }
        RuleKind::UnknownPerson => "unknown = true".to_owned(),
        RuleKind::Alerting => "known = \"anna\"".to_owned(),
    };
    // 128 numbers, as the shipped model has.
    let numbers: Vec<String> = (0..128_u32).map(|i| format!("{:.4}", f64::from(i * 7 + 1).sin())).collect();
    let frame = format!("[[frames]]\nfaces = [{{ {face}, embedding = [{}] }}]\n", numbers.join(", "));
    let people = ["anna", "bo", "cy", "dee", "eve"].map(|id| format!("[[people]]\nid = \"{id}\"\n")).concat();
    people + &frame.repeat(600)
}
