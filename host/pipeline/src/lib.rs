//! The way of a frame from Kafka to Kafka: `intake` reads it, `run` takes it through vision, gallery and rules,
//! `publish` commits what came of it. `observe` shows all that to operators, `lag` how far behind the group is.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod enrolment;
pub mod intake;
pub mod lag;
pub mod live_ledger;
pub mod observe;
pub mod publish;
pub mod reload;
pub mod run;
