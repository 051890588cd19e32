//! The machine that this process runs on.

/// Cores that this process may use; 1 if nobody can say.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
