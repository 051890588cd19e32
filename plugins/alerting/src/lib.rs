//! The shipped alert rule: raises alerts about people and strangers, with a severity and a cool-down.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod judge;
mod settings;

everyframe_rule::export_alert_rule!(settings::Settings);
