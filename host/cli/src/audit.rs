//! `everyframe audit`

use super::{Connection, DONE, FAILED, when};
use anyhow::Result;
use everyframe_account::audit::{CameraCount, Report, audit};
use everyframe_types::id::{printable, printable_json};

#[derive(clap::Args)]
#[command(after_help = "\
sent          frames in the frames topic
results       of these, processed
dead letters  of these, parked with their bytes and a reason
missing       of these, committed with neither: lost; their partitions and offsets are named
waiting       of these, not committed yet: still to come
repeated      additional results and dead letters with the same ids; frames that an agent sent again
gaps          sequence numbers of the agent that never reached the topic
late          sequence numbers that came after a higher one
refused       sequence numbers that the agent reported as refused: no gaps
away          seconds in which the agent got no picture from the camera
damaged       damaged pictures, as the agent counted them; by default they are not sent

Cameras of `[[cameras]]` are listed also if they sent nothing.

Below the table are the partitions and offsets of missing frames, frames that were too large for the dead-letters topic, \
and records with forged headers (such as a replay of a frame that was never parked), which change no count.

Exit status: 0 if every frame is accounted for, 1 if frames are missing or were deleted unread, 2 for wrong input.

Examples:
  everyframe audit
  everyframe audit --since 2h --json")]
pub struct Arguments {
    /// Only frames whose records are not older: a duration back from now (2h, 30m) or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    since: Option<i64>,
    /// The whole account as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let report = audit(&arguments.connection.config()?, arguments.since)?;
    if arguments.json {
        println!("{}", printable_json(&serde_json::to_string(&report)?));
    } else {
        print!("{}", table(&report));
    }
    Ok(if report.is_whole() { DONE } else { FAILED })
}

const COLUMNS: [&str; 11] = [
    "sent",
    "results",
    "dead letters",
    "missing",
    "waiting",
    "repeated",
    "gaps",
    "late",
    "refused",
    "away",
    "damaged",
];

fn row(count: &CameraCount) -> [u64; 11] {
    let CameraCount {
        sent,
        results,
        dead_letters,
        missing,
        waiting,
        repeated,
        gaps,
        late,
        refused,
        away,
        damaged,
    } = *count;
    [sent, results, dead_letters, missing, waiting, repeated, gaps, late, refused, away, damaged]
}

/// The account as a table, with the places of what is not there under it.
pub fn table(report: &Report) -> String {
    let width =
        report.cameras.keys().map(|camera| camera.chars().count()).max().unwrap_or(0).max("camera".len());
    let line = |name: &str, cells: [String; 11]| {
        let cells: Vec<_> = cells
            .iter()
            .zip(COLUMNS)
            .map(|(cell, title)| format!("{cell:>width$}", width = title.len()))
            .collect();
        format!("{:<width$}  {}\n", printable(name), cells.join("  "))
    };
    let mut text = line("camera", COLUMNS.map(str::to_owned));
    for (camera, count) in &report.cameras {
        text += &line(camera, row(count).map(|n| n.to_string()));
    }
    if report.cameras.len() != 1 {
        text += &line("all", row(&report.total).map(|n| n.to_string()));
    }
    for (what, of, named, more) in [
        ("missing from", "partition/offsets", &report.missing, report.not_named.missing),
        ("gaps of", "session/numbers", &report.gaps, report.not_named.gaps),
        ("refused by", "session/numbers", &report.refused, report.not_named.refused),
    ] {
        for (camera, ranges) in named {
            text += &printable(&format!("{what} {camera} ({of}): {}", ranges.join(" ")));
            text += "\n";
        }
        if more > 0 {
            text += &format!("{what} these and other cameras: {more} more ranges\n");
        }
    }
    for (what, named, count) in [
        (
            "parked with only the beginning of their bytes; the frames topic has the whole frames \
             (partition/offset)",
            &report.partial,
            report.partial_letters,
        ),
        ("forged, and not counted", &report.forged, report.forged_records),
    ] {
        if count > 0 {
            text += &printable(&format!("{what}: {}", named.join(", ")));
            let more = count.saturating_sub(named.len() as u64);
            text += &if more > 0 { format!(" and {more} more\n") } else { "\n".to_owned() };
        }
    }
    if report.deleted_frames > 0 {
        text += &format!(
            "deleted unread by retention (partition/offsets): {}: {} frames\n",
            report.deleted.join(" "),
            report.deleted_frames
        );
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
            deleted: vec!["3/5-7".into()],
            deleted_frames: 3,
            partial: vec!["1/7".into()],
            partial_letters: 1,
            forged: vec!["replay of 0/1 by camera a\u{1b}[2J".into()],
            forged_records: 3,
            ..Report::default()
        };
        let table = table(&report);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0].len(), lines[1].len());
        assert_eq!(lines[0].find("results").map(|at| at + 7), lines[1].find(" 9").map(|at| at + 2));
        assert!(lines[2].ends_with("0/3"));
        assert!(lines[3].ends_with("(partition/offset): 1/7"), "{}", lines[3]);
        assert!(lines[4].ends_with("and 2 more") && !lines[4].contains('\u{1b}'), "{}", lines[4]);
        assert!(lines[5].ends_with("3/5-7: 3 frames"));
    }
}
