//! A frame: one encoded picture of one camera, and where it stands in Kafka.

use crate::sequence_gap::SequenceGap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Where a record stands: the identity of its frame and of everything that the frame causes.
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
    /// The position that `topic/partition/offset` names.
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

/// What an agent read a frame from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A camera or a stream: frames follow each other closely, and their time is the clock's.
    Live,
    /// A video file: frames follow each other closely, and their time is a position in the file, which may run ahead of
    /// the clock when the file is sent faster than it plays.
    Recording,
    /// A folder of pictures: one frame says nothing about the next.
    Pictures,
}

impl SourceKind {
    /// The header's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Recording => "recording",
            Self::Pictures => "pictures",
        }
    }

    /// Reads the header's text; none for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Recording, Self::Pictures].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One encoded picture of one camera, as it came out of Kafka.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where it stands: its place in its lane, and what is committed.
    pub position: Position,
    /// Where it stood when it was first taken in: its identity, which results, alerts and dead letters name. Another
    /// place than `position` only for a dead letter that is replayed.
    pub identity: Position,
    /// The camera's id: the record's key, or `partition-N` for a record without one.
    pub camera: Arc<str>,
    /// One run of the camera's agent; the topic and partition for a record without the header.
    pub session: Arc<str>,
    /// The frame's number in its session; the offset for a record without the header.
    pub sequence: u64,
    /// When it was taken, Unix milliseconds: the time that is believed (see [`everyframe_pipeline::intake::FrameClock`]).
    pub captured_at: i64,
    /// The time that the frame claims, Unix milliseconds; the record's timestamp without the header.
    pub claimed_at: i64,
    /// The record's timestamp, Unix milliseconds.
    pub recorded_at: i64,
    /// True if an agent numbered it: session and sequence are its own.
    pub is_numbered: bool,
    /// What the agent read it from; none without the header.
    pub source: Option<SourceKind>,
    /// When this host took it in.
    pub taken_in_at: Instant,
    /// What is not there, known at this place.
    pub sequence_gap: Option<SequenceGap>,
    /// JPEG, PNG or WebP.
    pub picture: Vec<u8>,
}

impl Frame {
    /// False for an agent's word that frames are missing: it goes the way of a frame, in its place, without a picture.
    pub fn is_frame(&self) -> bool {
        !matches!(self.sequence_gap, Some(SequenceGap::Refused(_)))
    }

    /// The claimed time, Unix milliseconds, if the host believes another one.
    pub fn claim_in_doubt(&self) -> Option<i64> {
        Some(self.claimed_at).filter(|claimed| *claimed != self.captured_at)
    }

    /// True for a dead letter that is put through again.
    pub fn is_replayed(&self) -> bool {
        self.identity != self.position
    }
}
