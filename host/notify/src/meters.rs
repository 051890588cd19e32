//! Metrics of the channels.

use everyframe_telemetry::histogram::{DELAY, Histogram};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::time::Duration;

type ByChannel<M> = Family<[(&'static str, String); 1], M>;
type Delays = Family<[(&'static str, String); 1], Histogram, fn() -> Histogram>;

/// What became of a message, or of an attempt to send one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The attempt failed; there will be another one.
    Retried,
    /// It was given up.
    DeadLettered,
    /// Its alerts were muted, or acknowledged before it was sent.
    LeftOut,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::DeadLettered => "dead-lettered",
            Self::LeftOut => "left-out",
        }
    }
}

/// Metrics of all channels of this process.
#[derive(Clone)]
pub struct Meters {
    messages: Family<[(&'static str, String); 2], Counter>,
    backlog: ByChannel<Gauge>,
    delays: Delays,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            messages: Family::default(),
            backlog: Family::default(),
            delays: Delays::new_with_constructor(|| Histogram::new(DELAY)),
        }
    }
}

impl Meters {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Messages of channels: delivered, dead-lettered, left out since muted or acknowledged; and attempts that are retried";
        registry.register("everyframe_notifications", help, self.messages.clone());
        let help = "Alerts that a channel has not dealt with yet";
        registry.register("everyframe_notification_backlog", help, self.backlog.clone());
        let help = "From the writing of an alert until a channel has delivered it";
        registry.register("everyframe_notification_delay_seconds", help, self.delays.clone());
    }

    /// The metrics of a process that only sends notifications, as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }

    /// Counts a message or an attempt.
    pub fn count(&self, channel: &str, outcome: Outcome) {
        let labels = [("channel", channel.to_owned()), ("outcome", outcome.as_str().to_owned())];
        self.messages.get_or_create(&labels).inc();
    }

    /// Measures the time from the writing of an alert until its delivery.
    pub fn measure_delay(&self, channel: &str, delay: Duration) {
        self.delays.get_or_create(&[("channel", channel.to_owned())]).observe_time(delay);
    }

    /// Sets the number of alerts that a channel has not dealt with.
    pub fn set_backlog(&self, channel: &str, backlog: u64) {
        self.backlog
            .get_or_create(&[("channel", channel.to_owned())])
            .set(i64::try_from(backlog).unwrap_or(i64::MAX));
    }
}
