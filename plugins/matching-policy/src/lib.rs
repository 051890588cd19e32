//! The matching policy: is this face somebody of the gallery, nobody of it, or can't it be said?
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod policy;
mod settings;

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "matching-policy",
        additional_derives: [PartialEq],
    });
}

use bindings::everyframe::rules::embeddings;
use bindings::everyframe::rules::types::{Frame, Probe, Verdict};
use bindings::exports::everyframe::rules::{matching, rule};
use settings::Settings;
use std::cell::RefCell;

struct MatchingPolicy;

bindings::export!(MatchingPolicy with_types_in bindings);

thread_local! {
    /// What `configure` accepted; the defaults until then.
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

impl rule::Guest for MatchingPolicy {
    fn describe() -> rule::Description {
        rule::Description {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "Says who a face is by similarity, margin and quality, and when it can't be said.".into(),
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

impl matching::Guest for MatchingPolicy {
    fn decide(_frame: Frame, probes: Vec<Probe>) -> Vec<Verdict> {
        SETTINGS.with_borrow(|settings| {
            probes
                .iter()
                .map(|probe| {
                    let face = probe.face.index;
                    let decision = policy::decide(settings, probe, || embeddings::get(face).is_some());
                    Verdict { face, decision }
                })
                .collect()
        })
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
