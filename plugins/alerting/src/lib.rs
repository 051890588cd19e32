//! The alert rule: what somebody should hear of, how urgent it is, and not twice.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod judge;
mod settings;

everyframe_rule::export_alert_rule!(settings::Settings);
