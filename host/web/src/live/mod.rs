//! What happened lately, followed from the topics. Kafka is the only database: all of it is made again at the next start.
//!
//! - `follower`: reads results, alerts, dead letters, acknowledgements, strangers and the gallery.
//! - `cameras`, `sightings`, `stranger_ids`, `alerts`, `dead_letters`, `ledger`, `throughput`, `people`: what is kept of them, bounded. Pure.
//! - `events`: what changed, for connected browsers.

mod alerts;
mod cameras;
mod dead_letters;
mod events;
mod follower;
mod ledger;
mod ledger_watch;
mod people;
mod rules;
mod sightings;
mod state;
mod stranger_ids;
mod throughput;

pub use alerts::AlertFilter;
pub use dead_letters::LetterEntry;
pub use events::{Event, EventKind, Subscription};
pub use follower::follow;
pub use people::{PersonEntry, SampleEntry};
pub use sightings::{Sighting, SightingFilter, StrangerFilter, VISIT_GAP_MS, Who};
pub use state::{Live, State};
