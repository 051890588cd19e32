//! The machine that this process runs on.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of cores that this process can use; 1 if it is unknown.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The time now, Unix milliseconds; 0 if the clock is before 1970.
pub fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

/// The name of this machine in its network; empty if it is unknown.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| String::new(), |name| name.trim().to_owned())
}

/// True if the host of an address is this machine: `localhost` or a loopback address. `host` has no port; an IPv6 address may be in
/// brackets.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for ours in ["localhost", "127.0.0.1", "127.8.0.1", "::1", "[::1]"] {
            assert!(is_loopback(ours), "{ours}");
        }
        for other in ["", "0.0.0.0", "::", "192.168.0.7", "localhost.example", "127.0.0.1.example"] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
