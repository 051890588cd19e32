//! A frame's journey from Kafka to Kafka.
//!
//! - `intake`: order and time of the frames of a partition. Pure.
//! - `run`: the host. Lanes take each frame through vision, gallery and rules.
//! - `publish`: batches of results, committed with their offsets.
//! - `erasure`: erases people everywhere, with receipts.
//! - `rekey`, `subject_access`: encryption with another key; everything that is known about a person.
//! - `live_ledger`: sequence gaps, found as frames come. Pure.
//! - `lag`: unread frames, and when retention deletes them.
//! - `observe`: metrics, health and alarms for operators.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod enrolment;
pub mod erasure;
pub mod gallery_migration;
pub mod identify;
pub mod intake;
pub mod lag;
pub mod live_ledger;
pub mod observe;
pub mod publish;
pub mod rekey;
pub mod reload;
pub mod run;
pub mod subject_access;
