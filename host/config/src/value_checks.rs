//! Checks of single values that several settings share.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// The problem of a name that is part of a consumer group's name, if there is one.
pub fn name_problem(name: &str) -> Option<String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_valid = (1..=64).contains(&name.len()) && name.chars().all(is_allowed);
    (!is_valid).then(|| "must be 1 to 64 letters, digits, `-` or `_`".into())
}

/// The problem of a number outside its range, if it is outside.
pub fn range_problem<T: PartialOrd + Display>(value: T, range: RangeInclusive<T>) -> Option<String> {
    // NaN is in no range.
    (!range.contains(&value))
        .then(|| format!("must be from {} to {}, is {value}", range.start(), range.end()))
}
