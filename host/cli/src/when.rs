//! Durations and times on the command line.

pub use everyframe_pipeline::lag::format_duration;
use everyframe_types::machine::unix_ms;
use std::time::Duration;

/// `90s`, `30m`, `2h`, `7d`, `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const WRONG: &str = "give a duration such as 90s, 30m, 2h, 7d or 1h30m";
    let mut rest = text.trim();
    let mut seconds = 0f64;
    if rest.is_empty() {
        return Err(WRONG.into());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(WRONG)?;
        let unit = match rest[digits..].chars().next() {
            Some('s') => 1.0,
            Some('m') => 60.0,
            Some('h') => 3600.0,
            Some('d') => 86_400.0,
            _ => return Err(WRONG.into()),
        };
        seconds += unit * rest[..digits].parse::<f64>().map_err(|_| WRONG)?;
        rest = &rest[digits + 1..];
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| time.as_secs() < 1 << 33)
        .ok_or_else(|| WRONG.into())
}

/// A duration back from now, or an RFC 3339 time: Unix milliseconds.
pub fn time(text: &str) -> Result<i64, String> {
    if let Ok(back) = duration(text) {
        return Ok(unix_ms() - i64::try_from(back.as_millis()).unwrap_or(i64::MAX));
    }
    let time: Result<jiff::Timestamp, _> = text.trim().parse();
    time.map(|time| time.as_millisecond()).map_err(|_| {
        "give a duration back from now such as 2h or 30m, or a time such as 2026-11-24T10:00:00Z".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let seconds = |text| duration(text).map(|time| time.as_secs_f64());
        assert_eq!(seconds("90s"), Ok(90.0));
        assert_eq!(seconds("1h30m"), Ok(5400.0));
        assert_eq!(seconds("0.5d"), Ok(43_200.0));
        for wrong in ["", "5", "h", "5x", "-5m", "5 h", "1..2h", "99999999999d", "5é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_back_from_now_or_absolute() {
        assert_eq!(time("2025-11-24T16:00:00Z"), Ok(1_764_000_000_000));
        assert_eq!(time("2025-11-24T17:00:00+01:00"), Ok(1_764_000_000_000));
        assert!((unix_ms() - 7_200_000 - time("2h").expect("a time")).abs() < 10_000);
        assert!(time("yesterday").is_err());
    }
}
