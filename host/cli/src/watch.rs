//! `everyframe watch`

use super::narrate::Narrator;
use super::{Connection, DONE};
use anyhow::Result;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Reader};
use everyframe_types::dead_letter::{Letter, MESSAGE, REASON};
use everyframe_types::id::printable_json;
use everyframe_types::record::IncomingRecord as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often frames in which nothing new happened are summed up.
const SUMMARY: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Arguments {
    /// Every result and alert as one JSON line.
    #[arg(long)]
    json: bool,
    /// From the oldest record on, not from now.
    #[arg(long)]
    from_start: bool,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let config = arguments.connection.config()?;
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(runtime);
    watch(&config, arguments.from_start, arguments.json, &stop)?;
    Ok(DONE)
}

/// Prints until `stop` is set, or nobody reads any more.
pub fn watch(config: &Config, from_start: bool, json: bool, stop: &AtomicBool) -> Result<(), BrokerError> {
    let open = |topic: &str| match from_start {
        true => Reader::from_start(&config.kafka, topic),
        false => Reader::from_end(&config.kafka, topic),
    };
    let topics = &config.topics;
    let (results, alerts, parked) =
        (open(&topics.results)?, open(&topics.alerts)?, open(&topics.dead_letters)?);
    let mut narrator = Narrator::new(std::io::stdout().is_terminal());
    let mut out = std::io::stdout();
    // An alert reads better after what it is about: it waits for the results of one more turn.
    let mut raised = Vec::new();
    let mut last_summary = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let mut lines = Vec::new();
        for _ in 0..1000 {
            let Some(record) = results.follow(Duration::from_millis(20))? else { break };
            let value = record.value().unwrap_or_default();
            match json {
                true => lines.push(printable_json(&String::from_utf8_lossy(value))),
                false => lines.extend(
                    serde_json::from_slice(value).map(|event| narrator.result(&event)).unwrap_or_default(),
                ),
            }
        }
        lines.append(&mut raised);
        while let Some(record) = alerts.follow(Duration::from_millis(5))? {
            let value = record.value().unwrap_or_default();
            match json {
                true => raised.push(printable_json(&String::from_utf8_lossy(value))),
                false => raised.extend(narrator.raised(value)),
            }
        }
        while let Some(record) = parked.follow(Duration::from_millis(5))? {
            if json {
                continue;
            }
            match Letter::read(&record) {
                Letter::Parked(_) => {
                    let camera = everyframe_types::record::camera(record.key(), record.partition());
                    let header = |name| record.header(name).unwrap_or("?");
                    lines.push(narrator.parked(&camera, header(REASON), header(MESSAGE)));
                }
                Letter::Deleted { partition, first, last } => lines.push(format!(
                    "{} frames of partition {partition} were deleted unread by retention: {first}-{last}",
                    last - first + 1
                )),
                // An operator's mark is no news.
                Letter::Mark(_) | Letter::Other => {}
            }
        }
        if !json && last_summary.elapsed() >= SUMMARY {
            lines.extend(narrator.summary());
            last_summary = Instant::now();
        }
        if lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
