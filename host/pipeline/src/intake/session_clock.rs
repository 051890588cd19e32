//! The time of one session's frames. A session is one run of an agent: its frames follow each other.

use super::time_claim::{Believed, Claim, is_sane};
use everyframe_types::frame::SourceKind;

/// A claim within this distance of its record's timestamp is right, milliseconds.
const NEAR: i64 = 60_000;
/// How far a claim may be from the time that its session should have reached, milliseconds: clocks jitter, records wait.
const TOLERANCE: i64 = 10_000;
/// So many frames in a row may claim a time that does not continue a longer session. Their claims count as wrong; one more frame
/// confirms them.
const MAX_WRONG_CLAIMS: u32 = 5;

/// Frames that follow each other, and the correction of their claims.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// The last frame's claim, Unix milliseconds.
    claimed: i64,
    /// The last frame's record, Unix milliseconds.
    recorded: Option<i64>,
    /// The time believed of the last frame, Unix milliseconds.
    believed: i64,
    /// False for claims that are not believed as they are: the line has a constant correction.
    is_true: bool,
    /// The believed time and the record's timestamp of its first frame, Unix milliseconds.
    began: (i64, Option<i64>),
    frames: u32,
    /// The longest step from frame to frame beyond the time between their records, at most [`TOLERANCE`]; milliseconds.
    stride: i64,
    /// Frames since the last one that were earlier, or that did not continue this line.
    missed: u32,
}

/// Frames that do not continue the session. They may turn out to be its new line.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    line: Line,
    /// The first one's claim, Unix milliseconds.
    first: i64,
}

/// What is remembered of a session.
#[derive(Debug)]
pub(super) struct SessionClock {
    /// The line that is believed.
    current: Line,
    suspect: Option<Suspect>,
    /// The line before a jump, until more than [`MAX_WRONG_CLAIMS`] frames confirm the jump.
    former: Option<Line>,
    /// The longest regular step of the session, milliseconds, for example of pictures taken once an hour.
    step: i64,
    /// The time believed of the last frame, Unix milliseconds.
    believed: i64,
    /// False until a claim is believed.
    is_sure: bool,
}

impl Line {
    fn start(claim: Claim, believed: i64) -> Self {
        let Claim { claimed, recorded, .. } = claim;
        let (is_true, began) = (believed == claimed, (believed, recorded));
        Self { claimed, recorded, believed, is_true, began, frames: 1, stride: 0, missed: 0 }
    }

    /// The time that passed between the last record and this one, milliseconds.
    fn waited(&self, recorded: Option<i64>) -> i64 {
        waited(self.recorded, recorded)
    }

    /// True if the claim continues the line.
    fn is_continued(&self, claim: Claim, step: i64) -> bool {
        let missed = i64::from(self.missed);
        let stepped = if claim.may_be_true() { step.saturating_mul(2 + missed) } else { 0 };
        let strode = self.stride.saturating_mul(missed).saturating_add(TOLERANCE);
        let most = self.waited(claim.recorded).saturating_add(strode).max(stepped);
        (-TOLERANCE..=most).contains(&claim.claimed.saturating_sub(self.claimed))
    }

    /// Adds a frame that continues the line, and returns its believed time.
    fn advance(&mut self, claim: Claim) -> i64 {
        let step = claim.claimed.saturating_sub(self.claimed);
        self.frames = self.frames.saturating_add(1);
        // A frame that is a little earlier does not move the line, so that many of them cannot lead it back.
        if step < 0 && self.is_true {
            self.missed = self.missed.saturating_add(1);
            return claim.claimed;
        }
        self.believed = self.believed.saturating_add(step);
        if !self.is_true {
            // A wrong clock that stands still must not stop the believed time.
            let (began, recorded) = self.began;
            let least = began.saturating_add(waited(recorded, claim.recorded)).saturating_sub(TOLERANCE);
            self.believed = self.believed.max(least);
        }
        let stride = step.saturating_sub(self.waited(claim.recorded)) / (i64::from(self.missed) + 1);
        self.stride = self.stride.max(stride).min(TOLERANCE);
        (self.claimed, self.recorded, self.missed) = (claim.claimed, claim.recorded, 0);
        self.believed
    }

    /// True if the frames come as they are taken.
    fn is_live(&self) -> bool {
        self.recorded
            .is_some_and(|recorded| self.believed.abs_diff(recorded) <= (NEAR + TOLERANCE).unsigned_abs())
    }
}

/// The time that passed between two records, milliseconds; none if that is not known.
fn waited(from: Option<i64>, to: Option<i64>) -> i64 {
    from.zip(to).map_or(0, |(from, to)| (to - from).max(0))
}

impl Claim {
    fn is_near_record(&self) -> bool {
        self.recorded.is_some_and(|recorded| self.claimed.abs_diff(recorded) <= NEAR.unsigned_abs())
    }

    /// True for a sane claim that is not later than its record. It may be earlier: agents send spooled frames, and people
    /// archives. A recording may run ahead.
    fn may_be_true(&self) -> bool {
        let is_past = |recorded| self.claimed.saturating_sub(recorded) <= TOLERANCE;
        is_sane(self.claimed)
            && (self.source == Some(SourceKind::Recording) || self.recorded.is_none_or(is_past))
    }
}

impl SessionClock {
    /// Begins with a session's first frame; `otherwise` is believed if neither its claim nor its record can be.
    pub fn start(claim: Claim, otherwise: i64) -> (Self, Believed) {
        let is_sure = claim.may_be_true();
        let believed = if is_sure { claim.claimed } else { claim.recorded.unwrap_or(otherwise) };
        let current = Line::start(claim, believed);
        let clock = Self { current, suspect: None, former: None, step: 0, believed, is_sure };
        (clock, Believed { at: believed, is_new: true })
    }

    /// The believed time of the session's next frame.
    pub fn believe(&mut self, claim: Claim) -> Believed {
        if let Some(former) = &mut self.former {
            former.missed += 1;
        }
        let believed = self.next(claim);
        self.believed = believed.at;
        self.is_sure |= believed.at == claim.claimed;
        if self.current.frames > MAX_WRONG_CLAIMS {
            self.former = None;
        }
        believed
    }

    fn next(&mut self, claim: Claim) -> Believed {
        let continues = self.current.is_continued(claim, self.step);
        let goes_back = claim.claimed < self.current.believed.saturating_sub(TOLERANCE);
        // The record's timestamp is the best evidence, but a session that was right keeps its own time.
        let may_jump = !self.current.is_true || !self.current.is_live() && !continues;
        if claim.is_near_record() && may_jump && !goes_back {
            return self.jump_to(Line::start(claim, claim.claimed));
        }
        if continues {
            self.suspect = None;
            return Believed { at: self.current.advance(claim), is_new: false };
        }
        if let Some(mut former) = self.former.filter(|former| former.is_continued(claim, self.step)) {
            let believed = Believed { at: former.advance(claim), is_new: true };
            (self.current, self.former, self.suspect) = (former, None, None);
            return believed;
        }
        self.suspect(claim)
    }

    /// A frame that does not continue the session: one with a wrong time, or the first of a new one.
    fn suspect(&mut self, claim: Claim) -> Believed {
        // For a live camera the record was the better evidence.
        if !self.is_sure && claim.source != Some(SourceKind::Live) && claim.may_be_true() {
            return self.jump_to(Line::start(claim, claim.claimed));
        }
        self.current.missed = self.current.missed.saturating_add(1);
        let substitute = self.substitute(claim.recorded);
        let Some(mut suspect) = self.suspect.take() else { return self.suspect_anew(claim, substitute) };
        let goes_on = claim.claimed >= suspect.line.claimed && suspect.first > self.current.claimed;
        let step = claim.claimed.saturating_sub(suspect.line.claimed);
        let believed = if suspect.line.is_continued(claim, self.step) {
            Believed { at: suspect.line.advance(claim), is_new: false }
        } else if goes_on && claim.may_be_true() {
            let frames = suspect.line.frames + 1;
            suspect.line = Line { frames, began: suspect.line.began, ..Line::start(claim, substitute) };
            Believed { at: substitute, is_new: true }
        } else {
            return self.suspect_anew(claim, substitute);
        };
        // A session that makes regular steps needs only a short confirmation of another one.
        let enough = if self.step > 0 { 1 } else { self.current.frames.min(MAX_WRONG_CLAIMS) };
        if suspect.line.frames <= enough {
            self.suspect = Some(suspect);
            return believed;
        }
        if goes_on && claim.may_be_true() && claim.claimed >= self.believed {
            self.step = self.step.max(suspect.first.saturating_sub(self.current.claimed)).max(step);
            (suspect.line.believed, suspect.line.is_true) = (claim.claimed, true);
        }
        let outnumbers = suspect.line.frames > self.current.frames;
        let at = self.jump_to(suspect.line).at;
        if outnumbers {
            self.former = None;
        }
        Believed { at, is_new: believed.is_new }
    }

    fn suspect_anew(&mut self, claim: Claim, believed: i64) -> Believed {
        self.suspect = Some(Suspect { line: Line::start(claim, believed), first: claim.claimed });
        Believed { at: believed, is_new: true }
    }

    fn jump_to(&mut self, line: Line) -> Believed {
        self.former = Some(std::mem::replace(&mut self.current, line));
        self.suspect = None;
        Believed { at: line.believed, is_new: true }
    }

    /// The time of a frame whose claim is not believed: the last believed time plus the time between the records.
    fn substitute(&self, recorded: Option<i64>) -> i64 {
        let waited = self.current.waited(recorded);
        let waited = if self.current.is_live() { waited } else { waited.min(TOLERANCE) };
        self.believed.max(self.current.believed.saturating_add(waited))
    }
}
