//! Everyframe: a recognition runtime that accounts for every frame.
//!
//! The modules are the way of a frame, in order: a frame is taken in by `intake`, seen by `vision`,
//! searched for in the `gallery`, judged by `rules` and published by `publish`. `run` joins them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod absence;
pub mod audit;
pub mod camera;
pub mod cli;
pub mod config;
pub mod event;
pub mod face;
pub mod frame;
pub mod gallery;
mod hexadecimal;
pub mod id;
pub mod intake;
pub mod judgement;
pub mod kafka;
pub mod lag;
mod laps;
mod machine;
pub mod observe;
pub mod premises;
pub mod publish;
mod redact;
pub mod replay;
pub mod rules;
pub mod run;
pub mod sizing;
pub mod vision;
