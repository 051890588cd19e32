//! What became of a frame.

use everyframe_types::dead_letter::Parked;
use everyframe_types::event::{JudgedBy, Timings};
use everyframe_types::judgement::Judgement;
use everyframe_types::search::SearchKind;
use std::sync::Arc;

/// Header of an alert whose texts were cut because the topic refused it: its original size, bytes.
pub(super) const CUT: &str = "everyframe-cut";

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was processed.
    Judged {
        /// Width and height of the full-size frame, pixels.
        size: (u32, u32),
        /// How the picture was searched for faces.
        search: SearchKind,
        /// The rules' decisions, alerts and changed state.
        judgement: Judgement,
        /// CPU time of each stage, milliseconds.
        timings: Timings,
        /// The models and rules that judged it.
        judged_by: Arc<JudgedBy>,
    },
    /// It could not be processed: it is parked, with its bytes.
    Parked(Parked),
    /// It is an agent's refusal notice. It carries no picture; only the host's alert is published.
    RefusalNotice,
}

/// The text, cut to at most `bytes` bytes.
pub(super) fn shortened(text: &str, bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..text.floor_char_boundary(bytes.saturating_sub(MARK.len()))])
}
