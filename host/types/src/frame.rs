//! A frame: one encoded picture of one camera, and its position in Kafka.

use crate::camera_notice::CameraNotice;
use crate::judgement::Alert;
use crate::sequence_gap::SequenceGap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The position of a record. It identifies the frame and everything that is made from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}

impl Position {
    /// Parses `topic/partition/offset`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next()?.parse().ok()?;
        let partition = parts.next()?.parse().ok()?;
        Some(Self { topic: parts.next()?.into(), partition, offset })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// The kind of source from which an agent read a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A camera or a stream: frames are continuous, and their time is the clock's.
    Live,
    /// A video file: frames are continuous, and their time is a position in the file. It may run ahead of the clock when the file
    /// is sent faster than it plays.
    Recording,
    /// A folder of pictures: frames are not continuous.
    Pictures,
}

impl SourceKind {
    /// The kind's name in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Recording => "recording",
            Self::Pictures => "pictures",
        }
    }

    /// Parses the header; none for an unknown kind.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Recording, Self::Pictures].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One encoded picture of one camera, as read from Kafka.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The position of its record: it decides the place in the lane and the committed offset.
    pub position: Position,
    /// The position at which it was first read: its identity in results, alerts and dead letters. It differs from `position` only
    /// for a replayed dead letter.
    pub identity: Position,
    /// The camera's id: the record's key, or `partition-N` for a record without one.
    pub camera: Arc<str>,
    /// One run of the camera's agent; the topic and partition for a record without the header.
    pub session: Arc<str>,
    /// The frame's number in its session; the offset for a record without the header.
    pub sequence: u64,
    /// When it was taken, Unix milliseconds. The pipeline corrects an implausible claim (`FrameClock`).
    pub captured_at: i64,
    /// The time that the frame claims, Unix milliseconds; the record's timestamp without the header.
    pub claimed_at: i64,
    /// The record's timestamp, Unix milliseconds.
    pub recorded_at: i64,
    /// True if an agent numbered it, so that session and sequence are the agent's.
    pub is_numbered: bool,
    /// The kind of source; none without the header.
    pub source: Option<SourceKind>,
    /// When this host read it.
    pub taken_in_at: Instant,
    /// The missing frames that are known at this position.
    pub sequence_gap: Option<SequenceGap>,
    /// Set if the record is a notice about the camera, and not a frame.
    pub notice: Option<CameraNotice>,
    /// The address that wants to be told of the result. Any producer can set it; whoever sends requests must check it.
    pub callback: Option<Arc<str>>,
    /// JPEG, PNG or WebP.
    pub picture: Vec<u8>,
}

impl Frame {
    /// False for an agent's notice: of refused frames, or about its camera. It has no picture, and passes through every stage only
    /// to keep its place in the order.
    pub fn is_frame(&self) -> bool {
        self.notice.is_none() && !matches!(self.sequence_gap, Some(SequenceGap::Refused(_)))
    }

    /// The alert that the host itself raises here: about missing frames, or about the camera.
    pub fn host_alert(&self) -> Option<Alert> {
        let of_gap = self.sequence_gap.as_ref().map(|gap| gap.alert(&self.camera, &self.session));
        of_gap.or_else(|| self.notice.as_ref()?.alert(&self.camera))
    }

    /// The claimed time, Unix milliseconds, if the host has corrected it.
    pub fn claim_in_doubt(&self) -> Option<i64> {
        Some(self.claimed_at).filter(|claimed| *claimed != self.captured_at)
    }

    /// True for a replayed dead letter.
    pub fn is_replayed(&self) -> bool {
        self.identity != self.position
    }
}
