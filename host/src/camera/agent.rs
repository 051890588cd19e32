//! Sends a source's pictures, stamped with session, sequence and time.

use super::{Source, SourceError};
use crate::intake::{CAPTURED_AT, SEQUENCE, SESSION};
use crate::kafka::{BrokerError, Producer, Record};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the agent waits for the last acknowledgements.
const LAST_WAIT: Duration = Duration::from_secs(30);
/// Pauses between attempts to reach a stream that broke off.
const RECONNECT: [u64; 5] = [1, 2, 5, 10, 30];

/// One camera's agent.
pub struct Agent {
    /// The camera's id: the records' key.
    pub camera: String,
    /// The frames topic.
    pub topic: String,
    /// Frames per second to send at; none: as fast as the source gives and the broker takes them.
    pub rate: Option<f64>,
    /// Start over at the end.
    pub repeat: bool,
}

/// What an agent did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Frames read from the source.
    pub read: u64,
    /// Frames that all in-sync replicas have.
    pub acknowledged: u64,
    /// The first refusal, if there was one.
    pub refused: Option<String>,
}

impl Agent {
    /// Sends until the source ends or `stop` is set, then waits for the acknowledgements.
    pub fn run(
        &self,
        source: &mut Source,
        producer: &Producer,
        stop: &AtomicBool,
    ) -> Result<Tally, SourceError> {
        let session = format!("{:x}-{:x}", now(), std::process::id());
        let acknowledged = Arc::new(AtomicU64::new(0));
        let refused: Arc<Mutex<Option<BrokerError>>> = Arc::default();
        let live = source.is_live();
        let step = Duration::from_secs_f64(1.0 / self.rate.unwrap_or_else(|| source.rate()));
        let (begun, first_at) = (Instant::now(), now());
        let mut read = 0u64;
        while !stop.load(Ordering::Relaxed) {
            let Some(picture) = source.next_picture()? else {
                match (live, self.repeat && read > 0) {
                    (true, _) => self.reconnect(source, stop),
                    (false, true) => source.rewind()?,
                    (false, false) if read == 0 => {
                        return Err(SourceError::NothingRead(source.name().to_owned()));
                    }
                    (false, false) => break,
                }
                continue;
            };
            let offset = step.mul_f64(read as f64);
            if self.rate.is_some() && !live {
                std::thread::sleep((begun + offset).saturating_duration_since(Instant::now()));
            }
            // A recording's time is where it is in the recording; a live picture's is now.
            let at = if live { now() } else { first_at + offset.as_millis() as i64 };
            let (sequence, at) = (read.to_string(), at.to_string());
            let headers: [(&str, &[u8]); 3] = [
                (SESSION, session.as_bytes()),
                (SEQUENCE, sequence.as_bytes()),
                (CAPTURED_AT, at.as_bytes()),
            ];
            let record = Record {
                topic: &self.topic,
                key: Some(self.camera.as_bytes()),
                value: Some(&picture),
                headers: &headers,
                ..Record::default()
            };
            let (acknowledged, refused) = (acknowledged.clone(), refused.clone());
            producer.send(
                record,
                Box::new(move |result| match result {
                    Ok(()) => drop(acknowledged.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => {
                        refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }),
            );
            read += 1;
        }
        if let Err(error) = producer.flush(LAST_WAIT) {
            tracing::error!("{error}");
        }
        let refused =
            refused.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(ToString::to_string);
        Ok(Tally { read, acknowledged: acknowledged.load(Ordering::Relaxed), refused })
    }

    /// Tries until the stream is back.
    fn reconnect(&self, source: &mut Source, stop: &AtomicBool) {
        tracing::warn!(camera = self.camera, "the stream broke off; connecting again");
        for attempt in 0.. {
            let pause = RECONNECT.get(attempt).or(RECONNECT.last()).copied().unwrap_or(1);
            let until = Instant::now() + Duration::from_secs(pause);
            while Instant::now() < until {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            match source.rewind() {
                Ok(()) => return tracing::info!(camera = self.camera, "the stream is back"),
                Err(error) => tracing::debug!(%error, attempt, "still away"),
            }
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
