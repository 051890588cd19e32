//! The end-to-end tests, a module for each theme. They are one program, so that all share one broker and one cluster, and a test
//! that waits leaves the processor to others.

mod account;
mod accuracy;
mod agent;
mod agent_spool;
mod broker;
mod cameras;
mod cluster;
mod command_line;
mod configuration;
mod delivery;
mod demo;
mod erasure;
mod events;
mod faults;
mod five_minutes;
mod footage;
mod gallery;
mod identity;
mod models;
mod notify;
mod observe;
mod oversize;
mod poison;
mod privacy;
mod producers;
mod reload;
mod replay;
mod rule_tools;
mod rules;
mod strangers;
mod web;
mod web_access;
mod web_attacks;
mod web_corrections;
mod web_rules;
