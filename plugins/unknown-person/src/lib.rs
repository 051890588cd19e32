//! The unknown-person rule: the same stranger is the same, frame after frame and day after day.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod observe;
mod settings;
mod stranger;
mod views;

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "unknown-person",
        additional_derives: [PartialEq],
    });
}

use bindings::everyframe::rules::types::{Face, Frame, Stranger};
use bindings::everyframe::rules::{embeddings, log, state};
use bindings::exports::everyframe::rules::{rule, strangers};
use settings::Settings;
use std::cell::RefCell;

struct UnknownPerson;

bindings::export!(UnknownPerson with_types_in bindings);

thread_local! {
    /// What `configure` accepted; the defaults until then.
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

impl rule::Guest for UnknownPerson {
    fn describe() -> rule::Description {
        rule::Description {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "Gives strangers a stable id, and says when one is new, returns or loiters.".into(),
            settings_schema: rule_settings::schema::<Settings>(),
        }
    }

    fn configure(settings: String) -> Vec<rule::Diagnostic> {
        let (settings, problems) = rule_settings::read(&settings);
        if let Some(settings) = settings {
            SETTINGS.set(settings);
        }
        problems.into_iter().map(rule::Diagnostic::from).collect()
    }
}

impl strangers::Guest for UnknownPerson {
    fn observe(frame: Frame, faces: Vec<Face>) -> Vec<Stranger> {
        SETTINGS.with_borrow(|settings| observe::observe(settings, &frame, &faces, &mut Host))
    }
}

/// The host, as the rule sees it.
struct Host;

impl observe::World for Host {
    fn embedding(&self, face: u32) -> Option<Vec<f32>> {
        embeddings::get(face)
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        state::get(key)
    }

    fn set(&mut self, key: &str, value: &[u8], ttl: u64) -> bool {
        state::set(key, value, Some(ttl)).is_ok()
    }

    fn delete(&mut self, key: &str) {
        state::delete(key);
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        state::keys(prefix)
    }

    fn warn(&self, message: &str) {
        log::write(log::Level::Warn, message);
    }
}

impl From<rule_settings::Problem> for rule::Diagnostic {
    fn from(problem: rule_settings::Problem) -> Self {
        let severity = match problem.severity {
            rule_settings::Severity::Warning => rule::Severity::Warning,
            rule_settings::Severity::Error => rule::Severity::Error,
        };
        rule::Diagnostic { severity, key: problem.key, message: problem.message }
    }
}
