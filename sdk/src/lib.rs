//! The Rust SDK for rules. It is optional: the contract is `wit/`, and a rule can be written against the contract alone.
//!
//! A rule is a struct of its settings. It checks them ([`Rule`]), implements the one function of its kind ([`MatchingPolicy`],
//! [`UnknownPersonRule`] or [`AlertRule`]), and gets state, gallery, embeddings and log from a [`Host`]. One macro exports it as
//! a component:
//!
//! ```
//! use everyframe_rule::{Alert, AlertRule, Frame, HOUR, Host, Rule, Severity, Subject};
//!
//! /// Raises an alert when there is a crowd.
//! #[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Crowd {
//!     /// How many people make a crowd.
//!     people: usize,
//! }
//!
//! impl Default for Crowd {
//!     fn default() -> Self {
//!         Crowd { people: 3 }
//!     }
//! }
//!
//! impl Rule for Crowd {
//!     const ABOUT: &str = "Raises an alert for a crowd, once an hour and camera.";
//! }
//!
//! impl AlertRule for Crowd {
//!     fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
//!         if subjects.len() < self.people || host.get::<bool>("alerted").is_some() {
//!             return Vec::new();
//!         }
//!         host.set("alerted", &true, HOUR);
//!         vec![frame.alert(Severity::Warning, "crowd", &frame.camera, "a crowd".into())]
//!     }
//! }
//!
//! everyframe_rule::export_alert_rule!(Crowd);
//!
//! // A test runs the rule natively:
//! use everyframe_rule::testing::{Trial, unknown};
//! let mut trial = Trial::<Crowd>::new(r#"{"people": 2}"#);
//! assert_eq!(trial.judge([unknown()]), []);
//! assert_eq!(trial.judge([unknown(), unknown()])[0].kind, "crowd");
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod bindings;
mod crowd;
mod explain;
mod export;
mod host;
pub mod settings;
pub mod testing;
mod types;

pub use bindings::imports::gallery::Person;
pub use bindings::imports::log::Level;
pub use bindings::imports::state::Error as StateError;
pub use bindings::imports::types::{
    Alert, Candidate, Decision, Event, Face, Frame, Identity, Probe, Rect, Severity, Stranger, Subject,
    Timestamp, Verdict,
};
pub use bindings::strangers::everyframe::rules::recent_strangers::RecentStranger;
pub use bindings::strangers::exports::everyframe::rules::strangers::{Share, Sighting};
pub use crowd::{MAX_ALERTS, sum_up, summary_text};
pub use host::{Host, StrangersHost};
pub use settings::Problems;
pub use types::{DAY, HOUR, MINUTE};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

#[doc(hidden)]
pub mod __private {
    //! Used by the export macros.
    pub use crate::export::{configure, describe, keep, limit};
    pub use crate::host::Contract;
}

/// A rule's settings, with their defaults.
///
/// Derive `Deserialize`, `Serialize` (for the defaults in the schema) and `JsonSchema`, and add
/// `#[serde(default, deny_unknown_fields)]`, so that a misspelt key is an error.
pub trait Rule: Default + DeserializeOwned + JsonSchema {
    /// What the rule does, in one sentence.
    const ABOUT: &str;

    /// Reports problems that the types cannot express, such as ranges and contradictions.
    fn check(&self, _problems: &mut Problems) {}
}

/// Decides who a face is.
pub trait MatchingPolicy: Rule {
    /// Returns exactly one verdict for each probe.
    fn decide(&self, frame: &Frame, probes: &[Probe], host: &mut dyn Host) -> Vec<Verdict>;
}

/// Recognises strangers: their visits, and how long they stay.
pub trait UnknownPersonRule: Rule {
    /// Identifies unknown faces: returns at most one sighting for each face. A sighting may share the face with all cameras.
    fn observe(&self, frame: &Frame, faces: &[Face], host: &mut dyn StrangersHost) -> Vec<Sighting>;
}

/// Raises alerts.
pub trait AlertRule: Rule {
    /// Gets every frame with all decisions, also a frame without faces. If it returns more than 100 alerts, which the host
    /// would refuse, they are summarised by kind ([`sum_up`]).
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert>;
}
