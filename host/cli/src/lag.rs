//! `everyframe lag`

use super::{Connection, DONE, FAILED, when};
use anyhow::Result;
use everyframe_kafka::Retention;
use everyframe_pipeline::lag::{PartitionLag, Sampler, sentence};
use serde::Serialize;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "\
oldest      offset of the oldest frame that is there
next        offset that the next frame will get
committed   the group's offset; - if it has committed nothing
lag         frames that are there and unread
arriving    frames a second, over the window
processed   the same
oldest age  age of the oldest unread frame
deleted in  when retention comes to an unread frame if nothing changes; - if it never does

Exit status: 0 if no unread frame will be deleted within the given time, 1 if one will be or one was already deleted, \
2 for wrong input.

Examples:
  everyframe lag
  everyframe lag --window 30s --within 6h --json")]
pub struct Arguments {
    /// How long rates are measured.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = when::duration)]
    window: Duration,
    /// How soon is too soon for frames to be deleted unread.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = when::duration)]
    within: Duration,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What there is to say, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    topic: &'a str,
    group: &'a str,
    retention_ms: Option<u128>,
    retention_bytes: Option<u64>,
    partitions: &'a [PartitionLag],
    /// Those that will be overtaken within the time given, or were.
    alarm: Vec<i32>,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let config = arguments.connection.config()?;
    let mut sampler = Sampler::new(&config)?;
    sampler.sample()?;
    std::thread::sleep(arguments.window);
    let partitions = sampler.sample()?;
    let retention = sampler.retention();
    let alarm: Vec<i32> = partitions
        .iter()
        .filter(|of| of.time_left.is_some_and(|left| left <= arguments.within))
        .map(|of| of.partition)
        .collect();
    let code = if alarm.is_empty() { DONE } else { FAILED };
    if arguments.json {
        let report = Report {
            topic: &config.topics.frames,
            group: &config.kafka.group,
            retention_ms: retention.and_then(|kept| kept.time).map(|time| time.as_millis()),
            retention_bytes: retention.and_then(|kept| kept.bytes),
            partitions: &partitions,
            alarm,
        };
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", table(&partitions));
        println!("{}", kept(&config.topics.frames, retention));
        for of in partitions.iter().filter(|of| alarm.contains(&of.partition)) {
            println!("{}", sentence(of));
        }
    }
    Ok(code)
}

const COLUMNS: [&str; 9] =
    ["partition", "oldest", "next", "committed", "lag", "arriving", "processed", "oldest age", "deleted in"];

fn table(partitions: &[PartitionLag]) -> String {
    let rate = |rate: Option<f64>| rate.map_or("-".into(), |rate| format!("{rate:.1}/s"));
    let time = |time: Option<Duration>| time.map_or("-".into(), when::format_duration);
    let rows: Vec<[String; 9]> = std::iter::once(COLUMNS.map(str::to_owned))
        .chain(partitions.iter().map(|of| {
            [
                of.partition.to_string(),
                of.oldest.to_string(),
                of.next.to_string(),
                of.committed.map_or("-".into(), |offset| offset.to_string()),
                of.lag.to_string(),
                rate(of.arrival),
                rate(of.processing),
                time(of.age),
                time(of.time_left),
            ]
        }))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            format!("{cell:>width$}")
        });
        text += &cells.collect::<Vec<_>>().join("  ");
        text += "\n";
    }
    text
}

fn kept(topic: &str, retention: Option<Retention>) -> String {
    let Some(Retention { time, bytes }) = retention else {
        return format!("how long {topic} keeps its frames is not known: the broker does not tell");
    };
    match (time.map(when::format_duration), bytes) {
        (Some(time), Some(bytes)) => {
            format!("{topic} keeps {time}, at most {} MB a partition", bytes / 1_000_000)
        }
        (Some(time), None) => format!("{topic} keeps {time}"),
        (None, Some(bytes)) => format!("{topic} keeps {} MB a partition", bytes / 1_000_000),
        (None, None) => format!("{topic} keeps everything"),
    }
}
