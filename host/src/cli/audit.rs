//! `everyframe audit`

use super::{Connection, DONE, FAILED};
use crate::audit::{CameraCount, Report, audit};
use anyhow::Result;

#[derive(clap::Args)]
#[command(after_help = "\
sent          frames in the frames topic
results       of these, processed
dead letters  of these, parked with their bytes and a reason
missing       of these, committed with neither: lost; their partitions and offsets are named
waiting       of these, not committed yet: still to come
repeated      results and dead letters beyond the first of a frame, with the same ids
gaps          sequence numbers of the agent that never reached the topic")]
pub struct Arguments {
    /// The whole account as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let report = audit(&arguments.connection.config()?)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", table(&report));
    }
    Ok(if report.total.missing == 0 { DONE } else { FAILED })
}

const COLUMNS: [&str; 7] = ["sent", "results", "dead letters", "missing", "waiting", "repeated", "gaps"];

fn row(count: &CameraCount) -> [u64; 7] {
    let CameraCount { sent, results, dead_letters, missing, waiting, repeated, gaps } = *count;
    [sent, results, dead_letters, missing, waiting, repeated, gaps]
}

/// The account as a table, with the places of missing frames under it.
pub fn table(report: &Report) -> String {
    let width =
        report.cameras.keys().map(|camera| camera.chars().count()).max().unwrap_or(0).max("camera".len());
    let line = |name: &str, cells: [String; 7]| {
        let cells: Vec<_> = cells
            .iter()
            .zip(COLUMNS)
            .map(|(cell, title)| format!("{cell:>width$}", width = title.len()))
            .collect();
        format!("{name:<width$}  {}\n", cells.join("  "))
    };
    let mut text = line("camera", COLUMNS.map(str::to_owned));
    for (camera, count) in &report.cameras {
        text += &line(camera, row(count).map(|n| n.to_string()));
    }
    if report.cameras.len() != 1 {
        text += &line("all", row(&report.total).map(|n| n.to_string()));
    }
    for (camera, places) in &report.missing {
        text += &format!("missing from {camera} (partition/offset): {}\n", places.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_titles() {
        let count = CameraCount { sent: 10, results: 9, missing: 1, ..Default::default() };
        let report = Report {
            cameras: [("gate-with-long-name".to_owned(), count.clone())].into(),
            total: count,
            missing: [("gate-with-long-name".to_owned(), vec!["0/3".to_owned()])].into(),
        };
        let table = table(&report);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0].len(), lines[1].len());
        assert_eq!(lines[0].find("results").map(|at| at + 7), lines[1].find(" 9").map(|at| at + 2));
        assert!(lines[2].ends_with("0/3"));
    }
}
