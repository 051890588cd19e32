//! Hexadecimal text of bytes.

use std::fmt::Write as _;

/// Formats bytes as lower-case hexadecimal, as `sha256sum` does.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
