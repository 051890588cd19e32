//! Hosts, brokers and agents die, freeze and go away while frames flow. Every trial ends with the account: nothing is
//! lost, nothing is there twice, and without transactions every repeat can be told.
//!
//! When is left to chance; each trial says its seed, and `EVERYFRAME_SEED` gives it again. With
//! `EVERYFRAME_SOAK_MINUTES` the same trials are longer: more deaths, longer outages, for about that long all together.
//! `make soak` repeats them.

mod agents;
mod brokers;
mod frames;
mod hosts;
mod identity;
mod memory;
mod topics;
mod trial;

/// Each trial twice: without transactions on a single node, and on a cluster.
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
