//! Hosts, brokers and agents are killed, paused and disconnected while frames flow. Every trial ends with an audit: no frame
//! is lost, none is repeated, and without transactions every repeat is reported.
//!
//! The moments are random. Each trial prints its seed, and `EVERYFRAME_SEED` repeats it. With `EVERYFRAME_SOAK_MINUTES` the
//! trials are longer, with more kills and longer outages, about that long in total. `make soak` repeats them.

mod agents;
mod brokers;
mod frames;
mod hosts;
mod identity;
mod memory;
mod topics;
mod trial;

/// Defines each trial twice: without transactions on a single node, and on a cluster.
macro_rules! on_both {
    ($($test:ident: $fault:literal,)*) => {
        mod at_least_once {
            $(#[test]
            fn $test() {
                let trial = crate::trial::Trial::at_least_once($fault);
                trial.into_iter().for_each(|trial| super::$test(&trial));
            })*
        }

        mod on_a_cluster {
            $(#[test]
            fn $test() {
                let trial = crate::trial::Trial::on_a_cluster($fault);
                trial.into_iter().for_each(|trial| super::$test(&trial));
            })*
        }
    };
}
use on_both;
