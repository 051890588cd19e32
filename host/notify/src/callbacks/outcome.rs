//! Records of the results and dead-letters topics, as callbacks need them.

use everyframe_types::dead_letter::{MESSAGE, OFFSET, PARTITION, REASON, STAGE, TOPIC};
use everyframe_types::event::rfc3339;
use everyframe_types::record::{CAPTURED_AT, IncomingRecord, camera_id, parse_callback};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// A record.
#[derive(Debug, Clone)]
pub struct OutcomeRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When it was written, Unix milliseconds.
    pub recorded_at: i64,
    /// What is to be sent; none for most records.
    pub callback: Option<Arc<Callback>>,
}

/// A request that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The address, as the frame gave it: it may not be allowed.
    pub url: String,
    /// The id of the event.
    pub id: String,
    /// The CloudEvent as JSON.
    pub json: Vec<u8>,
}

impl Callback {
    /// Its size in memory, bytes.
    pub fn bytes(&self) -> usize {
        512 + self.url.len() + self.json.len()
    }
}

impl OutcomeRecord {
    /// Parses a record of the results topic.
    pub fn of_result(record: &impl IncomingRecord) -> Self {
        #[derive(Deserialize)]
        struct Event {
            id: String,
        }
        let callback = parse_callback(record).and_then(|url| {
            let json = record.value()?;
            let Event { id } = serde_json::from_slice(json).ok()?;
            Some(Callback { url: url.to_owned(), id, json: json.to_vec() })
        });
        Self::new(record, callback)
    }

    /// Parses a record of the dead-letters topic.
    pub fn of_dead_letter(record: &impl IncomingRecord) -> Self {
        let callback = parse_callback(record).and_then(|url| {
            let number = |name| record.header(name)?.parse::<i64>().ok();
            let (topic, reason) = (record.header(TOPIC)?, record.header(REASON)?);
            let (partition, offset) = (number(PARTITION)?, number(OFFSET)?);
            let camera = camera_id(record.key(), record.partition());
            let captured_at = number(CAPTURED_AT).unwrap_or_else(|| record.timestamp());
            let id = format!("{topic}/{partition}/{offset}/dead-letter");
            let event = json!({
                "specversion": "1.0",
                "id": id,
                "source": "everyframe",
                "type": "everyframe.dead-letter.v1",
                "subject": camera,
                "time": rfc3339(captured_at),
                "datacontenttype": "application/json",
                "data": {
                    "camera": camera,
                    "capturedAt": captured_at,
                    "position": { "topic": topic, "partition": partition, "offset": offset },
                    "stage": record.header(STAGE),
                    "reason": reason,
                    "message": record.header(MESSAGE),
                },
            });
            Some(Callback { url: url.to_owned(), id, json: event.to_string().into_bytes() })
        });
        Self::new(record, callback)
    }

    fn new(record: &impl IncomingRecord, callback: Option<Callback>) -> Self {
        Self {
            partition: record.partition(),
            offset: record.offset(),
            recorded_at: record.timestamp(),
            callback: callback.map(Arc::new),
        }
    }
}
