//! The account, as it is told.

use serde::Serialize;
use std::collections::BTreeMap;

/// One camera's counts. Each frame is one of `results`, `dead_letters`, `missing` and `waiting`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CameraCount {
    /// Frames in the frames topic; one that was replayed is one all the same.
    pub sent: u64,
    /// Of these, with a result.
    pub results: u64,
    /// Of these, parked in the dead letters and without a result; also those that were dropped there since.
    pub dead_letters: u64,
    /// Of these, committed by the group but with neither: lost. Also one whose replay is committed and came to nothing.
    pub missing: u64,
    /// Of these, not committed yet, they or their replay: still to come.
    pub waiting: u64,
    /// Results and dead letters beyond the first of a frame, and one more for each time it was replayed.
    pub repeated: u64,
    /// Sequence numbers that the agent gave and that never reached the topic.
    pub gaps: u64,
    /// Sequence numbers that came after a higher one of their session.
    pub late: u64,
    /// Sequence numbers that the agent said it had to refuse: no gaps.
    pub refused: u64,
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
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Ranges, both ends included, by camera.
pub type Named = BTreeMap<String, Vec<String>>;

/// The whole account.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// By camera.
    pub cameras: BTreeMap<String, CameraCount>,
    /// All cameras together.
    pub total: CameraCount,
    /// By camera, where the missing frames stand: `partition/first-last`, meaning those of the camera between these
    /// offsets.
    pub missing: Named,
    /// By camera, `session/first-last` of the gaps.
    pub gaps: Named,
    /// By camera, `session/first-last` of what the agent refused.
    pub refused: Named,
    /// `partition/first-last` of the frames that retention deleted before the group came to them; whose they were, no one
    /// knows any more.
    pub deleted: Vec<String>,
    /// How many offsets these are.
    pub deleted_frames: u64,
    /// `partition/offset` of frames without a result whose dead letters hold only the beginning of their bytes, because they
    /// were too large for the topic: the first thousand. The frames topic has the whole frame until retention deletes it.
    pub partial: Vec<String>,
    /// How many these are.
    pub partial_letters: u64,
    /// Records with forged headers, which change no other count: a replay of a frame that does not exist, was not parked, or is
    /// another camera's; a deletion of frames that still exist; a refusal of too many numbers. The first thousand.
    pub forged: Vec<String>,
    /// How many these are.
    pub forged_records: u64,
    /// How many ranges are not named, because there are so many.
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
    /// True if nothing was lost in the topics: no frame is missing, and none was deleted unread.
    pub fn is_whole(&self) -> bool {
        self.total.missing == 0 && self.deleted_frames == 0
    }

    /// Adds up the cameras.
    pub(super) fn add_up(&mut self) {
        for count in self.cameras.values() {
            self.total.add(count);
        }
    }
}

/// `of/first-last`, or `of/first` where they are the same.
pub(super) fn range(of: impl std::fmt::Display, first: u64, last: u64) -> String {
    match first == last {
        true => format!("{of}/{first}"),
        false => format!("{of}/{first}-{last}"),
    }
}
