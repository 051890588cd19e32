//! The unknown-person rule: the same stranger is the same, frame after frame and day after day.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod observe;
mod settings;
mod stranger;
mod views;

everyframe_rule::export_unknown_person_rule!(settings::Settings);
