//! What a rule for Everyframe needs besides its own logic. Optional: the contract is `wit/`, and a rule may as
//! well be written against it alone.
//!
//! A rule is a struct of its settings. It says what is wrong with them ([`Rule`]), has the one function of its
//! kind ([`MatchingPolicy`], [`UnknownPersonRule`] or [`AlertRule`]), sees the world through a [`Host`], and is
//! made a component by one line:
//!
//! ```
//! use everyframe_rule::{Alert, AlertRule, Frame, HOUR, Host, Rule, Severity, Subject};
//!
//! /// Tells when there is a crowd.
//! #[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Crowd {
//!     /// How many people are one.
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
//!         if subjects.len() < self.people || host.get::<bool>("told").is_some() {
//!             return Vec::new();
//!         }
//!         host.set("told", &true, HOUR);
//!         vec![frame.alert(Severity::Warning, "crowd", &frame.camera, "a crowd".into())]
//!     }
//! }
//!
//! everyframe_rule::export_alert_rule!(Crowd);
//!
//! // As a rule's test has it, natively:
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
pub use crowd::{MAX_ALERTS, sum_up, summary_text};
pub use host::Host;
pub use settings::Problems;
pub use types::{DAY, HOUR, MINUTE};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

#[doc(hidden)]
pub mod __private {
    //! What the macros need.
    pub use crate::export::{configure, describe, keep, limit};
    pub use crate::host::Contract;
}

/// What every rule is: its settings, with their defaults.
///
/// Derive `Deserialize`, `Serialize` (for the defaults in the schema) and `JsonSchema`, and put
/// `#[serde(default, deny_unknown_fields)]`: then a slip in a key is refused by its name.
pub trait Rule: Default + DeserializeOwned + JsonSchema {
    /// What the rule does, in one sentence.
    const ABOUT: &str;

    /// Reports what the types alone can't refuse: ranges, contradictions.
    fn check(&self, _problems: &mut Problems) {}
}

/// Who is this, is it sure.
pub trait MatchingPolicy: Rule {
    /// Exactly one verdict for each probe.
    fn decide(&self, frame: &Frame, probes: &[Probe], host: &mut dyn Host) -> Vec<Verdict>;
}

/// A stranger, again, for how long.
pub trait UnknownPersonRule: Rule {
    /// Names those of the unknown faces that it can: at most one stranger for each face.
    fn observe(&self, frame: &Frame, faces: &[Face], host: &mut dyn Host) -> Vec<Stranger>;
}

/// What somebody should hear of.
pub trait AlertRule: Rule {
    /// Gets the whole decided frame, also one without faces. If it returns more than 100 alerts, which the host would refuse,
    /// they are summed up by kind ([`sum_up`]).
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert>;
}
