//! An alert as it was read from the alerts topic.

use everyframe_types::raised_alert::RaisedAlert;
use everyframe_types::record::IncomingRecord;
use std::sync::Arc;

/// A record of the alerts topic.
#[derive(Debug, Clone)]
pub struct AlertRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When it was written, Unix milliseconds. All waiting counts from here, so a restart changes nothing.
    pub recorded_at: i64,
    /// The alert; none if the record is no event of Everyframe.
    pub alert: Option<Arc<Alert>>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What it says.
    pub raised: RaisedAlert,
    /// The CloudEvent as JSON.
    pub json: Vec<u8>,
}

impl AlertRecord {
    /// Parses a record.
    pub fn parse(record: &impl IncomingRecord) -> Self {
        let value = record.value().unwrap_or_default();
        let alert = RaisedAlert::parse(value).map(|raised| Arc::new(Alert { raised, json: value.to_vec() }));
        Self {
            partition: record.partition(),
            offset: record.offset(),
            recorded_at: record.timestamp(),
            alert,
        }
    }

    /// Its size in memory, bytes.
    pub fn bytes(&self) -> usize {
        // The parsed fields are parts of the JSON.
        512 + self.alert.as_ref().map_or(0, |alert| 2 * alert.json.len())
    }
}
