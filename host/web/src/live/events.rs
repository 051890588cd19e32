//! What changed, for connected browsers. A slow one misses events and is told so; nobody waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// The events that can be sent again to a browser whose connection broke.
const KEPT: usize = 4096;
/// The events that a slow connection may be behind.
const BEHIND: usize = 1024;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A frame was processed.
    Frame,
    /// An alert was raised.
    Alert,
    /// An alert was acknowledged, or opened again.
    Acknowledgement,
    /// A sighting began.
    Sighting,
    /// A camera has fallen silent, or come back.
    Camera,
    /// The gallery changed.
    People,
    /// A frame was parked.
    DeadLetter,
    /// The ledger's counts.
    Ledger,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Frame,
        Self::Alert,
        Self::Acknowledgement,
        Self::Sighting,
        Self::Camera,
        Self::People,
        Self::DeadLetter,
        Self::Ledger,
    ];

    /// The name in the stream.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Alert => "alert",
            Self::Acknowledgement => "acknowledgement",
            Self::Sighting => "sighting",
            Self::Camera => "camera",
            Self::People => "people",
            Self::DeadLetter => "dead-letter",
            Self::Ledger => "ledger",
        }
    }

    /// True if only the last event counts: a browser that connects again gets a new one soon.
    fn is_state(self) -> bool {
        matches!(self, Self::Frame | Self::Ledger)
    }
}

/// An event.
#[derive(Debug)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// Its number; 0 for one that is not kept.
    pub number: u64,
    /// The camera; none if it is about none.
    pub camera: Option<String>,
    /// JSON.
    pub data: String,
}

/// Why events cannot be sent again.
#[derive(Debug, PartialEq, Eq)]
pub struct Missed;

/// A subscription to events from now on.
pub type Subscription = broadcast::Receiver<Arc<Event>>;

/// Distributes events.
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    kept: Mutex<Kept>,
    /// Distinguishes the event numbers of this process from those of an earlier one.
    epoch: i64,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    last: u64,
}

impl Events {
    /// No events yet. `epoch` is the time of the start, Unix milliseconds.
    pub fn new(epoch: i64) -> Self {
        Self { sender: broadcast::channel(BEHIND).0, kept: Mutex::default(), epoch }
    }

    /// Sends an event to everybody who is connected.
    pub fn send(&self, kind: EventKind, camera: Option<String>, data: String) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let number = if kind.is_state() {
            0
        } else {
            kept.last += 1;
            kept.last
        };
        let event = Arc::new(Event { kind, number, camera, data });
        if number > 0 {
            kept.events.push_back(event.clone());
            if kept.events.len() > KEPT {
                kept.events.pop_front();
            }
        }
        // Nobody is connected: nothing is to be done.
        let _ = self.sender.send(event);
    }

    /// True if anybody is connected.
    pub fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Subscribes from now on. Returns also the events after the one with the id `last`.
    ///
    /// # Errors
    ///
    /// [`Missed`], beside the subscription: events after `last` are not kept any more. Load everything again.
    pub fn subscribe(&self, last: Option<&str>) -> (Subscription, Result<Vec<Arc<Event>>, Missed>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let Some(last) = last else { return (receiver, Ok(Vec::new())) };
        let number = last.split_once('-').and_then(|(epoch, number)| {
            let number = number.parse::<u64>().ok()?;
            (epoch.parse() == Ok(self.epoch) && number <= kept.last).then_some(number)
        });
        let oldest = kept.last - kept.events.len() as u64;
        let missed = match number.filter(|number| *number >= oldest) {
            Some(number) => Ok(kept.events.iter().filter(|event| event.number > number).cloned().collect()),
            None => Err(Missed),
        };
        (receiver, missed)
    }

    /// The id of an event in the stream.
    pub fn id_of(&self, number: u64) -> String {
        format!("{}-{number}", self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(events: &Events, last: Option<&str>) -> Result<Vec<u64>, Missed> {
        events.subscribe(last).1.map(|missed| missed.iter().map(|event| event.number).collect())
    }

    #[test]
    fn a_broken_connection_gets_what_it_missed() {
        let events = Events::new(7);
        for kind in [EventKind::Alert, EventKind::Frame, EventKind::Sighting] {
            events.send(kind, None, "{}".into());
        }
        assert_eq!(numbers(&events, None), Ok(vec![]));
        assert_eq!(numbers(&events, Some("7-1")), Ok(vec![2]));
        assert_eq!(numbers(&events, Some("7-0")), Ok(vec![1, 2]));
        assert_eq!(numbers(&events, Some("7-2")), Ok(vec![]));
    }

    #[test]
    fn who_missed_too_much_is_told() {
        let events = Events::new(7);
        (0..KEPT + 10).for_each(|_| events.send(EventKind::Alert, None, "{}".into()));
        for last in ["7-3", "6-3", "7-99999999", "nonsense", "7-"] {
            assert_eq!(numbers(&events, Some(last)), Err(Missed), "{last}");
        }
        assert_eq!(numbers(&events, Some("7-10")).map(|missed| missed.len()), Ok(KEPT));
    }
}
