//! `everyframe watch`

use super::event_text::EventText;
use super::{Connection, DONE};
use anyhow::Result;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Reader};
use everyframe_types::dead_letter::{Letter, MESSAGE, REASON};
use everyframe_types::id::printable_json;
use everyframe_types::record::IncomingRecord as _;
use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often frames in which nothing new happened are summed up.
const SUMMARY: Duration = Duration::from_secs(10);
/// How long results are read before lines are written: otherwise a steady stream would keep them back.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// What was read.
#[derive(Default)]
struct Counts {
    results: u64,
    alerts: u64,
    dead_letters: u64,
}

#[derive(clap::Args)]
#[command(after_help = "\
Standard output has a line for each event, written at once, also into a file or a pipe. Frames in which nothing new \
happened are counted every ten seconds. Standard error has a line at the start and one at the end, with counts.")]
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
    tracing::info!(
        "watching {}, {} and {} at {}, {}; Ctrl-C ends it",
        topics.results,
        topics.alerts,
        topics.dead_letters,
        config.kafka.brokers,
        if from_start { "from the oldest record on" } else { "from now on" }
    );
    let began = Instant::now();
    let mut counts = Counts::default();
    let mut event_text = EventText::new(std::io::stdout().is_terminal());
    let mut out = std::io::stdout();
    // An alert reads better after what it is about: it waits for the results of one more turn.
    let mut raised = Vec::new();
    let mut last_summary = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let mut lines = Vec::new();
        let turn = Instant::now();
        while turn.elapsed() < POLL_TIMEOUT {
            let Some(record) = results.follow(Duration::from_millis(20))? else { break };
            counts.results += 1;
            let value = record.value().unwrap_or_default();
            match json {
                true => lines.push(printable_json(&String::from_utf8_lossy(value))),
                false => lines.extend(
                    serde_json::from_slice(value).map(|event| event_text.result(&event)).unwrap_or_default(),
                ),
            }
        }
        lines.append(&mut raised);
        while let Some(record) = alerts.follow(Duration::from_millis(5))? {
            counts.alerts += 1;
            let value = record.value().unwrap_or_default();
            match json {
                true => raised.push(printable_json(&String::from_utf8_lossy(value))),
                false => raised.extend(event_text.raised(value)),
            }
        }
        while let Some(record) = parked.follow(Duration::from_millis(5))? {
            let letter = Letter::parse(&record);
            counts.dead_letters += u64::from(matches!(letter, Letter::Parked(_)));
            if json {
                continue;
            }
            match letter {
                Letter::Parked(_) => {
                    let camera = everyframe_types::record::camera_id(record.key(), record.partition());
                    let header = |name| record.header(name).unwrap_or("?");
                    lines.push(event_text.parked(&camera, header(REASON), header(MESSAGE)));
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
            lines.extend(event_text.summary());
            last_summary = Instant::now();
        }
        if write_lines(&mut out, &lines).is_err() {
            break;
        }
    }
    // An alert may still wait for its results, and frames for their summary; if nobody reads them, that is all right.
    raised.extend(event_text.summary().filter(|_| !json));
    let _ = write_lines(&mut out, &raised);
    let Counts { results, alerts, dead_letters } = counts;
    let seconds = began.elapsed().as_secs();
    tracing::info!(
        "watched for {seconds} s: results {results} · alerts {alerts} · dead letters {dead_letters}"
    );
    Ok(())
}

fn write_lines(out: &mut impl Write, lines: &[String]) -> std::io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()
}
