//! The report of an audit.

use serde::Serialize;
use std::collections::BTreeMap;

/// One camera's counts. Each frame is one of `results`, `dead_letters`, `missing` and `waiting`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CameraCount {
    /// Frames in the frames topic. A replayed frame counts once, and so does one that its agent sent twice.
    pub sent: u64,
    /// Of these, frames with a result.
    pub results: u64,
    /// Of these, frames with a dead letter and without a result, including those that an operator dropped.
    pub dead_letters: u64,
    /// Of these, lost frames: committed by the group without a result or a dead letter. Also a frame whose replay is committed
    /// without either.
    pub missing: u64,
    /// Of these, frames that are not committed yet, or whose replay is not: still to be processed.
    pub waiting: u64,
    /// Results and dead letters of a frame beyond the expected: one, and one more for each replay. And frames that came again under
    /// their old number, as after the crash of an agent.
    pub repeated: u64,
    /// Sequence numbers of the agent that never reached the topic.
    pub gaps: u64,
    /// Sequence numbers that arrived after a higher one of their session.
    pub late: u64,
    /// Sequence numbers that the agent refused and reported. They do not count as gaps.
    pub refused: u64,
    /// Seconds in which no picture came from the camera, as its agent reported them.
    pub away: u64,
    /// Damaged pictures that the agent counted.
    pub damaged: u64,
}

impl CameraCount {
    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.sent, other.sent),
            (&mut self.results, other.results),
            (&mut self.dead_letters, other.dead_letters),
            (&mut self.missing, other.missing),
            (&mut self.waiting, other.waiting),
            (&mut self.repeated, other.repeated),
            (&mut self.gaps, other.gaps),
            (&mut self.late, other.late),
            (&mut self.refused, other.refused),
            (&mut self.away, other.away),
            (&mut self.damaged, other.damaged),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Inclusive ranges by camera.
pub type Named = BTreeMap<String, Vec<String>>;

/// The report of an audit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// By camera.
    pub cameras: BTreeMap<String, CameraCount>,
    /// All cameras together.
    pub total: CameraCount,
    /// By camera, the positions of missing frames: `partition/first-last`, the camera's frames between these offsets.
    pub missing: Named,
    /// By camera, the gaps: `session/first-last`.
    pub gaps: Named,
    /// By camera, the refused numbers: `session/first-last`.
    pub refused: Named,
    /// The frames that retention deleted before the group read them: `partition/first-last`. Their cameras are unknown.
    pub deleted: Vec<String>,
    /// The number of these offsets.
    pub deleted_frames: u64,
    /// Frames without a result whose dead letters hold only the beginning of their bytes, because they were too large for the
    /// topic: `partition/offset` of the first thousand. The frames topic has the whole frame until retention deletes it.
    pub partial: Vec<String>,
    /// The number of these frames.
    pub partial_letters: u64,
    /// Records with forged headers, which change no other count: a replay of a frame that does not exist, was not parked, or is
    /// another camera's; a deletion of frames that still exist; a refusal of too many numbers. The first thousand.
    pub forged: Vec<String>,
    /// The number of these records.
    pub forged_records: u64,
    /// The number of ranges that are not listed because there are too many.
    pub not_named: NotNamed,
}

/// Ranges beyond the first thousand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NotNamed {
    /// Of missing frames.
    pub missing: u64,
    /// Of gaps.
    pub gaps: u64,
    /// Of refused numbers.
    pub refused: u64,
}

impl Report {
    /// True if no frame is missing and none was deleted unread.
    pub fn is_whole(&self) -> bool {
        self.total.missing == 0 && self.deleted_frames == 0
    }

    /// Computes the total of all cameras.
    pub(super) fn add_up(&mut self) {
        for count in self.cameras.values() {
            self.total.add(count);
        }
    }
}

/// Formats a range: `of/first-last`, or `of/first` if both are the same.
pub(super) fn range(of: impl std::fmt::Display, first: u64, last: u64) -> String {
    match first == last {
        true => format!("{of}/{first}"),
        false => format!("{of}/{first}-{last}"),
    }
}
