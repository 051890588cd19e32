//! Results, alerts and dead letters, into their topics.
