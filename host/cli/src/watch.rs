//! `everyframe watch`

use super::event_text::EventText;
use super::{Connection, DONE};
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

pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let config = arguments.connection.config()?;
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(runtime);
    watch(&config, arguments.from_start, arguments.json, &stop)?;
    Ok(DONE)
}

/// Prints until `stop` is set, or nobody reads any more.
pub fn watch(config: &Config, from_start: bool, json: bool, stop: &AtomicBool) -> Result<(), BrokerError> {
    let open = |topic: &str| match from_start {
        true => Reader::following(&config.kafka, topic, 0),
        false => Reader::from_end(&config.kafka, topic),
    };
    let topics = &config.topics;
    let mut watcher = Watcher {
        results: open(&topics.results)?,
        alerts: open(&topics.alerts)?,
        dead_letters: open(&topics.dead_letters)?,
        json,
        event_text: EventText::new(std::io::stdout().is_terminal()),
        counts: Counts::default(),
    };
    tracing::info!(
        "watching {}, {} and {} at {}, {}; Ctrl-C ends it",
        topics.results,
        topics.alerts,
        topics.dead_letters,
        config.kafka.brokers,
        if from_start { "from the oldest record on" } else { "from now on" }
    );
    let began = Instant::now();
    let mut out = std::io::stdout();
    // An alert reads better after what it is about: it waits for the results of one more turn.
    let mut raised = Vec::new();
    let mut last_summary = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let mut lines = watcher.read_results()?;
        lines.append(&mut raised);
        raised = watcher.read_alerts()?;
        lines.extend(watcher.read_dead_letters()?);
        if !json && last_summary.elapsed() >= SUMMARY {
            lines.extend(watcher.event_text.summary());
            last_summary = Instant::now();
        }
        if write_lines(&mut out, &lines).is_err() {
            break;
        }
    }
    // What was held back until now. An error means that nobody reads the output any more.
    raised.extend(watcher.event_text.summary().filter(|_| !json));
    let _ = write_lines(&mut out, &raised);
    let Counts { results, alerts, dead_letters } = watcher.counts;
    let seconds = began.elapsed().as_secs();
    tracing::info!(
        "watched for {seconds} s: results {results} · alerts {alerts} · dead letters {dead_letters}"
    );
    Ok(())
}

/// Reads the topics, and renders their records as lines.
struct Watcher {
    results: Reader,
    alerts: Reader,
    dead_letters: Reader,
    json: bool,
    event_text: EventText,
    counts: Counts,
}

impl Watcher {
    fn read_results(&mut self) -> Result<Vec<String>, BrokerError> {
        let (mut lines, began) = (Vec::new(), Instant::now());
        while began.elapsed() < POLL_TIMEOUT {
            let Some(record) = self.results.follow(Duration::from_millis(20))? else { break };
            self.counts.results += 1;
            let value = record.value().unwrap_or_default();
            match self.json {
                true => lines.push(printable_json(&String::from_utf8_lossy(value))),
                false => lines.extend(
                    serde_json::from_slice(value)
                        .map(|event| self.event_text.result(&event))
                        .unwrap_or_default(),
                ),
            }
        }
        Ok(lines)
    }

    fn read_alerts(&mut self) -> Result<Vec<String>, BrokerError> {
        let mut lines = Vec::new();
        while let Some(record) = self.alerts.follow(Duration::from_millis(5))? {
            self.counts.alerts += 1;
            let value = record.value().unwrap_or_default();
            match self.json {
                true => lines.push(printable_json(&String::from_utf8_lossy(value))),
                false => lines.extend(self.event_text.raised(value)),
            }
        }
        Ok(lines)
    }

    /// Reads dead letters, which have no line as JSON.
    fn read_dead_letters(&mut self) -> Result<Vec<String>, BrokerError> {
        let mut lines = Vec::new();
        while let Some(record) = self.dead_letters.follow(Duration::from_millis(5))? {
            let letter = Letter::parse(&record);
            self.counts.dead_letters += u64::from(matches!(letter, Letter::Parked(_)));
            if self.json {
                continue;
            }
            match letter {
                Letter::Parked(_) => {
                    let camera = everyframe_types::record::camera_id(record.key(), record.partition());
                    let header = |name| record.header(name).unwrap_or("?");
                    lines.push(self.event_text.parked(&camera, header(REASON), header(MESSAGE)));
                }
                Letter::Deleted { partition, first, last } => lines.push(format!(
                    "{} frames of partition {partition} were deleted unread by retention: {first}-{last}",
                    last - first + 1
                )),
                // An operator's mark is no news.
                Letter::Mark(_) | Letter::Other => {}
            }
        }
        Ok(lines)
    }
}

fn write_lines(out: &mut impl Write, lines: &[String]) -> std::io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()
}
