//! Results, alerts and dead letters, into their topics.

use crate::config::Topics;
use crate::event::{self, JudgedBy, Timings};
use crate::frame::Frame;
use crate::intake::{CAPTURED_AT, SEQUENCE, SESSION};
use crate::judgement::Judgement;
use crate::kafka::{BrokerError, Producer, Record};
use std::sync::Arc;

/// Headers of a dead letter: why, where in the way of a frame, and where the frame stood.
pub const REASON: &str = "everyframe-reason";
/// The stage that could not go on: `decode`, `vision` or `rules`.
pub const STAGE: &str = "everyframe-stage";
/// A sentence for a person.
pub const MESSAGE: &str = "everyframe-message";
/// The frames topic.
pub const TOPIC: &str = "everyframe-topic";
/// The frame's partition.
pub const PARTITION: &str = "everyframe-partition";
/// The frame's offset.
pub const OFFSET: &str = "everyframe-offset";

/// What became of a frame.
#[derive(Debug)]
pub enum Outcome {
    /// It was processed.
    Judged {
        /// Width and height of the full-size frame, pixels.
        size: (u32, u32),
        /// What the rules made of it.
        judgement: Judgement,
        /// Where the time went.
        timings: Timings,
    },
    /// It could not be processed: it is parked, with its bytes.
    Parked(Parked),
}

/// Why a frame is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The stage that could not go on.
    pub stage: &'static str,
    /// A stable name: `truncated`, `rule-timed-out`.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
}

/// Publishes outcomes.
pub struct Publisher {
    producer: Producer,
    topics: Topics,
    judged_by: JudgedBy,
}

impl Publisher {
    /// `judged_by` is named in every result.
    pub fn new(producer: Producer, topics: Topics, judged_by: JudgedBy) -> Self {
        Self { producer, topics, judged_by }
    }

    /// How many records an outcome causes: each is acknowledged once.
    pub fn records(outcome: &Outcome) -> usize {
        match outcome {
            Outcome::Judged { judgement, .. } => 1 + judgement.alerts.len(),
            Outcome::Parked(_) => 1,
        }
    }

    /// Sends all records of an outcome; `acknowledged` is called once for each of them, from another thread.
    /// Waits while the producer's queue is full.
    pub fn publish(
        &self,
        frame: &Frame,
        outcome: &Outcome,
        acknowledged: &Arc<dyn Fn(Result<(), BrokerError>) + Send + Sync>,
    ) {
        let send = |topic: &str, value: &[u8], headers: &[(&str, &[u8])]| {
            let acknowledged = acknowledged.clone();
            let record = Record { topic, key: Some(frame.camera.as_bytes()), value: Some(value), headers };
            self.producer.send(record, Box::new(move |result| acknowledged(result)));
        };
        match outcome {
            Outcome::Judged { size, judgement, timings } => {
                let alerts: Vec<_> = judgement
                    .alerts
                    .iter()
                    .enumerate()
                    .map(|(n, alert)| event::alert(frame, alert, n))
                    .collect();
                let ids = alerts.iter().map(|alert| alert.id.clone()).collect();
                let result = event::result(frame, *size, &judgement.subjects, ids, *timings, &self.judged_by);
                // Alerts first: they are what somebody waits for.
                for alert in &alerts {
                    send(&self.topics.alerts, &json(alert), &[]);
                }
                send(&self.topics.results, &json(&result), &[]);
            }
            Outcome::Parked(parked) => {
                let identity = &frame.identity;
                let (partition, offset) = (identity.partition.to_string(), identity.offset.to_string());
                let (sequence, captured_at) = (frame.sequence.to_string(), frame.captured_at.to_string());
                let headers: [(&str, &[u8]); 9] = [
                    (REASON, parked.reason.as_bytes()),
                    (STAGE, parked.stage.as_bytes()),
                    (MESSAGE, parked.message.as_bytes()),
                    (TOPIC, identity.topic.as_bytes()),
                    (PARTITION, partition.as_bytes()),
                    (OFFSET, offset.as_bytes()),
                    // With these it can be put through again as what it was.
                    (SESSION, frame.session.as_bytes()),
                    (SEQUENCE, sequence.as_bytes()),
                    (CAPTURED_AT, captured_at.as_bytes()),
                ];
                send(&self.topics.dead_letters, &frame.picture, &headers);
            }
        }
    }
}

/// Our events are plain structs with text keys and finite numbers (the rules' answers are checked for that), so
/// that serialising cannot fail; were it to, the record would say so rather than be missing.
fn json<T: serde::Serialize>(event: &T) -> Vec<u8> {
    serde_json::to_vec(event).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}").into_bytes())
}
