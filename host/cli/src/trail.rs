//! `everyframe trail`

use super::privacy::format_time;
use super::{Connection, DONE, FAILED};
use anyhow::{Context as _, Result};
use everyframe_config::Config;
use everyframe_kafka::{Reader, class_retention};
use everyframe_privacy::{Signer, Trail, TrailCheck, TrailEntry, TrailPoint, TrailReport};
use everyframe_types::id::{printable, printable_json};
use everyframe_types::machine::unix_ms;
use everyframe_types::record::IncomingRecord as _;
use std::path::PathBuf;

/// Kafka deletes whole segments, so the beginning of the trail may go this much earlier or later than its retention says,
/// milliseconds.
const SEGMENT_MS: i64 = 8 * 24 * 3_600_000;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show who enrolled, searched, looked at pictures, erased, or changed rules.
    Show {
        /// Only entries that name this person, stranger or rule.
        #[arg(long, value_name = "TEXT")]
        subject: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Check that no entry was changed, removed or moved. Exit status 1 if one was.
    Verify {
        /// A file with what `trail point` printed earlier: the entries up to it must still be there. Without it, nobody can tell
        /// whether the last entries were removed.
        #[arg(long, value_name = "FILE")]
        point: Vec<PathBuf>,
        /// The key that must have signed the entries, 64 hexadecimal digits; the configured one if not given.
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print the last entry's number and hash, to be kept elsewhere for `trail verify --point`.
    Point {
        #[command(flatten)]
        connection: Connection,
    },
}

pub fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::Show { subject, json, connection } => {
            let config = connection.prepare_topics()?;
            read(&config, TrailCheck::new(None), |entry| {
                if subject.as_ref().is_none_or(|subject| entry.subject.contains(subject.as_str())) {
                    print_entry(&entry, json);
                }
            })?;
            Ok(DONE)
        }
        Command::Verify { point, public_key, connection } => {
            let config = connection.prepare_topics()?;
            let public_key = match public_key {
                Some(key) => Some(key),
                None => Signer::load(&config.privacy)?.map(|signer| signer.public_key()),
            };
            let points = point.iter().map(read_point).collect::<Result<Vec<_>>>()?;
            let is_signed = public_key.is_some();
            let check = read(&config, TrailCheck::new(public_key), drop)?;
            let report = check.finish(&points, false);
            print_report(&report, is_signed);
            let is_whole = begins_where_it_should(&config, &report)?;
            Ok(if report.faults.is_empty() && is_whole { DONE } else { FAILED })
        }
        Command::Point { connection } => {
            let config = connection.prepare_topics()?;
            let head = Trail::open(&config)?.head()?.context("the trail is empty")?;
            println!("{}", serde_json::to_string(&head)?);
            Ok(DONE)
        }
    }
}

fn read(config: &Config, mut check: TrailCheck, mut on_entry: impl FnMut(TrailEntry)) -> Result<TrailCheck> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.trail)?;
    while let Some(record) = reader.next()? {
        if let Some(entry) = check.add(record.offset(), record.value().unwrap_or_default()) {
            on_entry(entry);
        }
    }
    Ok(check)
}

fn read_point(file: &PathBuf) -> Result<TrailPoint> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} is no point of a trail", file.display()))
}

fn print_entry(entry: &TrailEntry, json: bool) {
    if json {
        println!("{}", printable_json(&serde_json::to_string(entry).unwrap_or_default()));
        return;
    }
    let TrailEntry { number, at, actor, action, subject, detail, .. } = entry;
    let detail = if detail.is_empty() { String::new() } else { format!("  ({detail})") };
    println!(
        "{}",
        printable(&format!("{number:>6}  {}  {actor}  {action}  {subject}{detail}", format_time(*at)))
    );
}

fn print_report(report: &TrailReport, is_signed: bool) {
    for fault in &report.faults {
        println!("{}", printable(fault));
    }
    let number = |point: &Option<TrailPoint>| point.as_ref().map_or(0, |point| point.number);
    let signed = match (is_signed, report.unsigned) {
        (false, _) => "signatures not checked: no signing key is configured".to_owned(),
        (true, 0) => "all signed".to_owned(),
        (true, unsigned) => format!("not signed: {unsigned}"),
    };
    println!(
        "entries {} ({} to {}), {signed}, faults {}",
        report.entries,
        number(&report.first),
        number(&report.last),
        report.faults.len()
    );
}

/// True if the beginning of the trail is there, or is as old as the retention of its topic. Says so if it is not.
fn begins_where_it_should(config: &Config, report: &TrailReport) -> Result<bool> {
    let Some(first) = report.first.as_ref().filter(|first| first.number > 1) else { return Ok(true) };
    let kept = class_retention(config)?.into_iter().find(|class| class.key == "trail_h");
    let oldest = kept.and_then(|class| class.kept_ms).map(|kept| unix_ms().saturating_sub_unsigned(kept));
    let is_as_old = oldest.is_some_and(|oldest| report.first_at <= oldest + SEGMENT_MS);
    if !is_as_old {
        println!(
            "the trail begins at entry {}, of {}: earlier ones were removed before their time",
            first.number,
            format_time(report.first_at)
        );
    }
    Ok(is_as_old)
}
