//! Bytes from hexadecimal text.

/// The bytes of a text of exactly `2 * N` hexadecimal digits.
pub(crate) fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.last()?).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_number_of_digits_is_taken() {
        assert_eq!(parse::<2>("0aFF"), Some([0x0a, 0xff]));
        for wrong in ["0aF", "0aFF0", "0aFG", "é0", ""] {
            assert_eq!(parse::<2>(wrong), None, "{wrong}");
        }
    }
}
