//! What `enrol`, `gallery` and `trail` share: who uses the command line, and what a person agrees to.

use anyhow::{Context as _, Result};
use everyframe_config::Config;
use everyframe_gallery::Terms;
use everyframe_privacy::{NewTrailEntry, Trail, TrailPoint};
use everyframe_types::id::printable;
use everyframe_types::machine::host_name;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The user of this machine, for the trail.
pub fn actor() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("user {}", rustix::process::getuid().as_raw()));
    printable(&format!("{user}@{}", host_name()))
}

/// Appends what is going to be done to the trail.
pub fn append_to_trail(config: &Config, entry: &NewTrailEntry) -> Result<TrailPoint> {
    Trail::open(config)?.append(entry).context("nothing was done")
}

/// What a person agrees to.
#[derive(clap::Args)]
pub struct TermsArguments {
    /// Where the person's consent is recorded, for example the number of a form.
    #[arg(long, value_name = "TEXT")]
    consent: Option<String>,
    /// A purpose in `[[privacy.purposes]]`, which limits the cameras; repeat it for several.
    #[arg(long = "purpose", value_name = "NAME")]
    purposes: Vec<String>,
    /// From when on the person is not recognised, and is erased: a day (UTC) such as 2027-06-30, a time such as
    /// 2027-06-30T18:00:00Z, or in so many days: 90d.
    #[arg(long, value_name = "TIME", value_parser = parse_expiry)]
    expires: Option<i64>,
}

impl TermsArguments {
    pub fn terms(&self) -> Terms {
        let consent =
            self.consent.as_deref().map(|text| printable(text.trim())).filter(|text| !text.is_empty());
        Terms { consent, purposes: self.purposes.clone(), expires_at: self.expires }
    }
}

fn parse_expiry(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let wrong = || format!("`{text}` is no time; give a day such as 2027-06-30, or 90d");
    let day = match text.strip_suffix('d') {
        Some(days) => {
            let days: i64 = days.parse().map_err(|_| wrong())?;
            let span = jiff::Span::new().try_days(days).map_err(|_| wrong())?;
            Timestamp::now().to_zoned(TimeZone::UTC).date().checked_add(span).map_err(|_| wrong())?
        }
        None => text.parse::<Date>().map_err(|_| wrong())?,
    };
    let begin = day.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    Ok(begin.timestamp().as_millisecond())
}

/// A time for people, to the minute.
pub fn format_time(at: i64) -> String {
    let time = Timestamp::from_millisecond(at).map(|at| at.to_zoned(TimeZone::UTC));
    time.map_or_else(|_| at.to_string(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date_or_a_number_of_days() {
        assert!(parse_expiry("2027-06-30").is_ok());
        let hours = (parse_expiry("90d").unwrap() - Timestamp::now().as_millisecond()) / 3_600_000;
        assert!((88 * 24..=90 * 24 + 1).contains(&hours), "{hours}");
        for wrong in ["soon", "d", "2027-13-01", "99999999999d", ""] {
            assert!(parse_expiry(wrong).is_err(), "{wrong}");
        }
    }
}
