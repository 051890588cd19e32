//! The alert rule: what somebody should hear of, how urgent it is, and not twice.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod judge;
mod schedule;
mod settings;

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "alerting",
        additional_derives: [PartialEq],
    });
}

use bindings::everyframe::rules::types::{Alert, Frame, Subject, Timestamp};
use bindings::everyframe::rules::{gallery, log, state};
use bindings::exports::everyframe::rules::{alerts, rule};
use settings::Settings;
use std::cell::RefCell;

struct Alerting;

bindings::export!(Alerting with_types_in bindings);

thread_local! {
    /// What `configure` accepted; the defaults until then.
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

impl rule::Guest for Alerting {
    fn describe() -> rule::Description {
        rule::Description {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "Raises alerts about people and strangers, with lists, hours and a cool-down.".into(),
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

impl alerts::Guest for Alerting {
    fn judge(frame: Frame, subjects: Vec<Subject>) -> Vec<Alert> {
        SETTINGS.with_borrow(|settings| judge::judge(settings, &frame, &subjects, &mut Host))
    }
}

/// The host, as the rule sees it.
struct Host;

impl judge::World for Host {
    fn last_alert(&self, key: &str) -> Option<Timestamp> {
        let value = state::get(key)?;
        Some(Timestamp::from_le_bytes(value.try_into().ok()?))
    }

    fn remember_alert(&mut self, key: &str, at: Timestamp, ttl: u64) {
        // Better to hear of it twice than not at all.
        if let Err(error) = state::set(key, &at.to_le_bytes(), Some(ttl)) {
            let message = format!("the alert is raised, but not its cool-down remembered: {error:?}");
            log::write(log::Level::Warn, &message);
        }
    }

    fn name_of(&self, person: &str) -> Option<String> {
        gallery::find(person).map(|person| person.name)
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
