//! When an alert is sent: at once, later, together with others, or not at all. Pure.
//!
//! Everything counts from the times at which alerts were written to their topic. So a restart comes to the same answers: alerts that
//! wait are not committed and are read again, and [`Pacing::recall`] is told of the ones before.

use everyframe_config::{ChannelSettings, Config, RateLimit, Site};
use everyframe_types::judgement::Severity;
use everyframe_types::raised_alert::RaisedAlert;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

const MINUTE_MS: i64 = 60_000;
/// The longest quiet hours: a week, in minutes.
const MAX_QUIET_MINUTES: i64 = 7 * 24 * 60;
/// Visits are forgotten when there are more than this many.
const MAX_VISITS: usize = 20_000;

/// What happens to an alert. Times are Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It belongs to a visit of which a message was sent already.
    SameVisit,
    /// It is a message of its own, sent at this time.
    Alone(i64),
    /// It is sent at this time, together with the others that are held back until then.
    Together(i64),
    /// It is collected for the digest, which is sent at this time if this alert is its first.
    Digest(i64),
}

/// Paces the alerts of one partition.
pub struct Pacing {
    settings: Arc<PaceSettings>,
    /// By the alerts' keys: when the last one was raised, and the highest severity of the visit.
    visits: HashMap<String, (i64, Severity)>,
    /// When the last messages were due.
    sent: VecDeque<i64>,
}

/// The settings of a channel that decide when alerts are sent.
pub struct PaceSettings {
    visit_gap_ms: i64,
    digest_ms: i64,
    escalate_after_ms: i64,
    rate_limit: Option<RateLimit>,
    quiet_hours: Option<(Site, String)>,
}

impl PaceSettings {
    /// The settings of a channel of a checked configuration.
    pub fn new(channel: &ChannelSettings, config: &Config) -> Self {
        let ms = |seconds: u64| i64::try_from(seconds).unwrap_or(0) * 1000;
        Self {
            visit_gap_ms: ms(channel.visit_gap_s),
            digest_ms: ms(channel.digest_s),
            escalate_after_ms: ms(channel.escalate_after_s),
            rate_limit: channel.rate_limit.clone(),
            quiet_hours: channel.quiet_hours.clone().map(|name| (Site::new(config), name)),
        }
    }

    /// True if the alerts before the first one decide what happens to it.
    pub fn has_memory(&self) -> bool {
        self.visit_gap_ms > 0 || self.rate_limit.is_some()
    }

    /// The end of the quiet hours around a time; none if there are none then.
    fn quiet_until(&self, at: i64) -> Option<i64> {
        let (site, name) = self.quiet_hours.as_ref()?;
        let is_quiet = |at: i64| site.schedules_at(at).contains(name);
        if !is_quiet(at) {
            return None;
        }
        // Schedules begin and end at whole minutes.
        let next = at - at.rem_euclid(MINUTE_MS) + MINUTE_MS;
        let minutes = (0..MAX_QUIET_MINUTES).map(|minute| next + minute * MINUTE_MS);
        Some(minutes.clone().find(|at| !is_quiet(*at)).unwrap_or(next + MAX_QUIET_MINUTES * MINUTE_MS))
    }
}

impl Pacing {
    /// Nothing was raised yet.
    pub fn new(settings: Arc<PaceSettings>) -> Self {
        Self { settings, visits: HashMap::new(), sent: VecDeque::new() }
    }

    /// Takes note of an alert that was raised before the first one that is to be sent.
    pub fn recall(&mut self, alert: &RaisedAlert, recorded_at: i64) {
        self.pace(alert, recorded_at);
    }

    /// Decides what happens to an alert that was written at `recorded_at`.
    pub fn pace(&mut self, alert: &RaisedAlert, recorded_at: i64) -> Pace {
        if self.is_of_same_visit(alert, recorded_at) {
            return Pace::SameVisit;
        }
        let settings = self.settings.clone();
        let due = recorded_at + settings.escalate_after_ms;
        if settings.digest_ms > 0 {
            let due = due + settings.digest_ms;
            return Pace::Digest(settings.quiet_until(due).unwrap_or(due));
        }
        if alert.severity < Severity::Critical
            && let Some(until) = settings.quiet_until(due)
        {
            return Pace::Together(until);
        }
        match &settings.rate_limit {
            Some(limit) => self.limit(limit, due),
            None => Pace::Alone(due),
        }
    }

    fn is_of_same_visit(&mut self, alert: &RaisedAlert, at: i64) -> bool {
        let gap = self.settings.visit_gap_ms;
        if gap == 0 {
            return false;
        }
        let same = self.visits.get(&alert.dedup_key).filter(|(last, _)| at - last < gap);
        let worst = same.map_or(alert.severity, |(_, worst)| (*worst).max(alert.severity));
        let is_same = same.is_some_and(|(_, worst)| alert.severity <= *worst);
        self.visits.insert(alert.dedup_key.clone(), (at, worst));
        if self.visits.len() > MAX_VISITS {
            self.visits.retain(|_, (last, _)| at - *last < gap);
        }
        is_same
    }

    fn limit(&mut self, limit: &RateLimit, due: i64) -> Pace {
        let period = i64::try_from(limit.per_s).unwrap_or(0) * 1000;
        while self.sent.front().is_some_and(|sent| *sent <= due - period) {
            self.sent.pop_front();
        }
        match self.sent.front() {
            // What is held back comes as one message when the oldest of them no longer counts.
            Some(oldest) if self.sent.len() >= limit.messages => Pace::Together(oldest + period),
            _ => {
                self.sent.push_back(due);
                Pace::Alone(due)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample_alert;

    const SECOND: i64 = 1000;
    /// Monday 23 November 2026, 00:00 UTC.
    const MONDAY: i64 = 1_795_392_000_000;

    fn pacing(lines: &str) -> Pacing {
        let text = format!(
            "[[schedules]]\nname = \"night\"\nhours = [{{ from = \"22:00\", to = \"07:00\" }}]\n\
             [[channels]]\nname = \"a\"\nstdout = {{}}\n{lines}\n"
        );
        let config: Config = toml::from_str(&text).unwrap();
        Pacing::new(Arc::new(PaceSettings::new(&config.channels[0], &config)))
    }

    fn alert(key: &str, severity: Severity) -> RaisedAlert {
        RaisedAlert { dedup_key: key.into(), severity, ..sample_alert() }
    }

    #[test]
    fn an_alert_is_sent_at_once() {
        let mut pacing = pacing("");
        let anna = alert("anna", Severity::Info);
        assert_eq!([5, 6].map(|at| pacing.pace(&anna, at)), [Pace::Alone(5), Pace::Alone(6)]);
    }

    #[test]
    fn a_visit_is_one_message_however_long_it_is() {
        let mut pacing = pacing("visit_gap_s = 60");
        let anna = alert("anna", Severity::Info);
        let at = [0, 59, 118, 177].map(|second| second * SECOND);
        let paces = at.map(|at| pacing.pace(&anna, at));
        assert_eq!(paces, [Pace::Alone(0), Pace::SameVisit, Pace::SameVisit, Pace::SameVisit]);
        assert_eq!(pacing.pace(&alert("otto", Severity::Info), at[3]), Pace::Alone(at[3]));
        let later = at[3] + 60 * SECOND;
        assert_eq!(pacing.pace(&anna, later), Pace::Alone(later), "the next visit");
    }

    #[test]
    fn a_visit_that_gets_worse_is_another_message() {
        let mut pacing = pacing("visit_gap_s = 60");
        let paces = [Severity::Info, Severity::Warning, Severity::Warning, Severity::Info]
            .map(|severity| pacing.pace(&alert("anna", severity), 7));
        assert_eq!(paces, [Pace::Alone(7), Pace::Alone(7), Pace::SameVisit, Pace::SameVisit]);
    }

    #[test]
    fn more_than_the_limit_is_held_back() {
        let mut pacing = pacing("rate_limit = { messages = 2, per_s = 60 }");
        let anna = alert("anna", Severity::Info);
        let mut at = |second: i64| pacing.pace(&anna, second * SECOND);
        assert_eq!((at(0), at(10)), (Pace::Alone(0), Pace::Alone(10 * SECOND)));
        assert_eq!(at(20), Pace::Together(60 * SECOND));
        assert_eq!(at(60), Pace::Alone(60 * SECOND), "the first one no longer counts");
        assert_eq!(at(61), Pace::Together(70 * SECOND));
    }

    #[test]
    fn quiet_hours_hold_back_all_but_critical_alerts() {
        let mut pacing = pacing("quiet_hours = \"night\"");
        let (noon, night) = (MONDAY + 12 * 3600 * SECOND, MONDAY + 23 * 3600 * SECOND + 123);
        let morning = MONDAY + 31 * 3600 * SECOND;
        assert_eq!(pacing.pace(&alert("a", Severity::Info), noon), Pace::Alone(noon));
        assert_eq!(pacing.pace(&alert("a", Severity::Warning), night), Pace::Together(morning));
        assert_eq!(pacing.pace(&alert("a", Severity::Critical), night), Pace::Alone(night));
    }

    #[test]
    fn a_digest_that_ends_in_quiet_hours_waits_for_their_end() {
        let mut pacing = pacing("quiet_hours = \"night\"\ndigest_s = 3600");
        let info = alert("a", Severity::Info);
        let (noon, evening) = (MONDAY + 12 * 3600 * SECOND, MONDAY + 21 * 3600 * SECOND + 1);
        assert_eq!(pacing.pace(&info, noon), Pace::Digest(noon + 3600 * SECOND));
        assert_eq!(pacing.pace(&info, evening), Pace::Digest(MONDAY + 31 * 3600 * SECOND));
    }

    #[test]
    fn an_escalation_waits_for_an_acknowledgement() {
        let mut pacing = pacing("escalate_after_s = 300");
        assert_eq!(pacing.pace(&alert("a", Severity::Info), 7), Pace::Alone(7 + 300 * SECOND));
    }

    #[test]
    fn what_was_raised_before_a_restart_still_counts() {
        let mut before = pacing("visit_gap_s = 60\nrate_limit = { messages = 2, per_s = 60 }");
        let mut after = pacing("visit_gap_s = 60\nrate_limit = { messages = 2, per_s = 60 }");
        let first = [("a", 0), ("b", 5)].map(|(key, at)| (alert(key, Severity::Info), at * SECOND));
        for (alert, at) in &first {
            before.pace(alert, *at);
        }
        first.iter().for_each(|(alert, at)| after.recall(alert, *at));
        for (key, at) in [("a", 9), ("c", 10), ("d", 62)] {
            let alert = alert(key, Severity::Info);
            assert_eq!(before.pace(&alert, at * SECOND), after.pace(&alert, at * SECOND), "{key}");
        }
    }
}
