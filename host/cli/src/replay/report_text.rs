//! The account of a replay, for people.

use everyframe_account::replay::{AlertChange, Count, FaceCounts, Report};
use everyframe_types::event::rfc3339;
use everyframe_types::id::printable;
use std::collections::BTreeMap;

/// The whole account; `frames` if the frames were looked at again.
pub fn render(report: &Report, frames: bool) -> String {
    let mut lines = vec![format!(
        "{} frames with {} faces judged again; what rules kept from before them is not known here",
        report.frames, report.faces
    )];
    if !report.alerts.is_empty() {
        alerts(report, &mut lines);
    }
    faces("decisions", &report.decisions, &mut lines);
    faces("strangers", &report.strangers, &mut lines);
    happened("would be parked", &report.failed, &mut lines);
    happened("would be passed over", &report.skipped, &mut lines);
    for (rule, count) in &report.blind {
        lines.push(match frames {
            // Faces that are too poor to be embedded.
            true => format!("{count} of {} frames: rule {rule} asked for an embedding that there is not", report.frames),
            false => format!(
                "{count} of {} frames: rule {rule} asked for embeddings, which results do not hold; what was said of \
                 these faces stands, use --frames to have it judge them",
                report.frames
            ),
        });
    }
    for (count, what) in [
        (report.without_result, "frames have no result to compare with"),
        (report.unseen, "frames cannot be seen: a host parks them before any rule is asked"),
        (report.unreadable, "records of the results topic are no results of this version"),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    lines.push(if report.changed { "something changed" } else { "nothing changed" }.into());
    lines.iter().map(|line| printable(line) + "\n").collect()
}

fn alerts(report: &Report, lines: &mut Vec<String>) {
    let width = report.alerts.keys().map(String::len).max().unwrap_or(0).max("alerts of".len());
    lines.push(format!(
        "{:<width$}  {:>7}  {:>7}  {:>7}  {:>7}",
        "alerts of", "before", "now", "gained", "lost"
    ));
    for (rule, counts) in &report.alerts {
        lines.push(format!(
            "{rule:<width$}  {:>7}  {:>7}  {:>7}  {:>7}",
            counts.before, counts.after, counts.gained, counts.lost
        ));
        for (what, count, examples) in
            [("gained", counts.gained, &counts.gained_examples), ("lost", counts.lost, &counts.lost_examples)]
        {
            lines.extend(examples.iter().map(|example| alert(what, example)));
            more(count, examples.len(), lines);
        }
    }
}

fn alert(what: &str, alert: &AlertChange) -> String {
    let AlertChange { frame, camera, captured_at, kind, subject, text, .. } = alert;
    format!("  {what:<6}  {}  {camera}  {frame}  {kind} {subject}: {text}", rfc3339(*captured_at))
}

fn faces(what: &str, counts: &[FaceCounts], lines: &mut Vec<String>) {
    for FaceCounts { before, after, count, examples } in counts {
        lines.push(format!("{what}: {before} → {after}: {count}"));
        lines.extend(examples.iter().map(|it| {
            let at = rfc3339(it.captured_at);
            format!("  {at}  {}  {} face {}: {} → {}", it.camera, it.frame, it.face, it.before, it.after)
        }));
        more(*count, examples.len(), lines);
    }
}

fn more(count: u64, shown: usize, lines: &mut Vec<String>) {
    let left = count.saturating_sub(shown as u64);
    if left > 0 {
        lines.push(format!("  and {left} more"));
    }
}

fn happened(what: &str, counts: &BTreeMap<String, Count>, lines: &mut Vec<String>) {
    for (rule, Count { count, example }) in counts {
        lines.push(format!("rule {rule}: {count} frames {what}, the first {example}"));
    }
}
