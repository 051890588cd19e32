//! A frame: one encoded picture of one camera, and where it stands in Kafka.

use std::fmt;
use std::sync::Arc;

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

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// One encoded picture of one camera, as it came out of Kafka.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where it came from.
    pub position: Position,
    /// The camera's id: the record's key, or `partition-N` for a record without one.
    pub camera: Arc<str>,
    /// One run of the camera's agent; the topic and partition for a record without the header.
    pub session: Arc<str>,
    /// The frame's number in its session; the offset for a record without the header.
    pub sequence: u64,
    /// When it was taken, Unix milliseconds; the record's timestamp without the header.
    pub captured_at: i64,
    /// JPEG, PNG or WebP.
    pub picture: Vec<u8>,
}
