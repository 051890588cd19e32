//! Two things at the same time.

use std::panic::resume_unwind;
use std::thread;

/// Runs two functions at the same time, the second one on a thread of its own. A panic of either is the caller's.
pub fn in_parallel<A, B: Send>(first: impl FnOnce() -> A, second: impl FnOnce() -> B + Send) -> (A, B) {
    thread::scope(|scope| {
        let second = scope.spawn(second);
        let first = first();
        (first, second.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn both_run_at_the_same_time() {
        let both = Barrier::new(2);
        let meet = |value| {
            both.wait();
            value
        };
        assert_eq!(in_parallel(|| meet(1), || meet(2)), (1, 2));
    }

    #[test]
    #[should_panic = "the second"]
    fn a_panic_is_not_lost() {
        in_parallel(|| (), || panic!("the second"));
    }
}
