//! Free ports of this machine, for child processes that get a port as an argument.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Above the ports of the cluster (`scripts/kafka.py`). Below the ports that a broker chooses, and below those of outgoing
/// connections on Linux (from 32768 on), because such a connection may take a port just before the child listens.
const RANGE: Range<u32> = 24_000..32_000;

/// A free port. No other call in this process returns it.
pub fn free_port() -> u16 {
    // Each process starts at another port.
    static FIRST: OnceLock<u32> = OnceLock::new();
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let count = RANGE.end - RANGE.start;
    let first = *FIRST.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_micros());
        std::process::id().wrapping_mul(97).wrapping_add(now) % count
    });
    loop {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        assert!(call < count, "all ports from {} to {} were given", RANGE.start, RANGE.end);
        let port = u16::try_from(RANGE.start + (first + call) % count).expect("a port has 16 bits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
