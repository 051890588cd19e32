//! Hosts, brokers and agents are killed, paused and disconnected while frames flow. Every trial ends with an audit: no frame
//! is lost, none is repeated, and without transactions every repeat is reported.
//!
//! The moments are random. Each trial prints its seed, and `EVERYFRAME_SEED` repeats it. With `EVERYFRAME_SOAK_MINUTES` the
//! trials are longer, with more kills and longer outages, about that long in total. `make test` runs one trial of each kind; those
//! marked `ignore` take minutes, and `make soak` runs them, too.

mod agents;
mod brokers;
mod frames;
mod hosts;
mod identity;
mod memory;
mod topics;
mod trial;
mod web;

/// Defines each trial twice: without transactions on a single node, and on a cluster. In brackets are the attributes of the
/// one and of the other.
macro_rules! on_both {
    ($($test:ident: $fault:literal [$($alone:meta)?] [$($cluster:meta)?],)*) => {
        mod at_least_once {
            $(#[test]
            $(#[$alone])?
            fn $test() {
                let trial = crate::faults::trial::Trial::at_least_once($fault);
                trial.into_iter().for_each(|trial| super::$test(&trial));
            })*
        }

        mod on_a_cluster {
            $(#[test]
            $(#[$cluster])?
            fn $test() {
                let trial = crate::faults::trial::Trial::on_a_cluster($fault);
                trial.into_iter().for_each(|trial| super::$test(&trial));
            })*
        }
    };
}
use on_both;
