//! The machine that this process runs on.

/// The number of cores that this process can use; 1 if it is unknown.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
