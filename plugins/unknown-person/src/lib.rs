//! The shipped unknown-person rule: gives a stranger the same id from frame to frame, from day to day, and on all cameras.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod across;
mod memory;
mod observe;
mod record;
mod settings;
mod stranger;
mod views;

everyframe_rule::export_unknown_person_rule!(settings::Settings);
