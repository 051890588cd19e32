//! The lag as text for people.

use super::sampler::PartitionLag;
use std::time::Duration;

/// A duration for people: the two greatest units, `2 h 10 min`.
pub fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.1} s", time.as_secs_f64()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The alarm's sentence about a partition.
pub fn sentence(of: &PartitionLag) -> String {
    let partition = of.partition;
    match of.deleted_unread {
        0 => {
            let left = format_duration(of.time_left.unwrap_or_default());
            format!("camera traffic on partition {partition} will be deleted unread in {left}")
        }
        deleted => format!("{deleted} frames of partition {partition} were deleted unread"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted_in_two_units() {
        let text = |seconds| format_duration(Duration::from_secs_f64(seconds));
        assert_eq!(text(7800.0), "2 h 10 min");
        assert_eq!(text(200_000.0), "2 d 7 h");
        assert_eq!(text(61.0), "1 min 1 s");
        assert_eq!(text(0.25), "0.2 s");
    }
}
