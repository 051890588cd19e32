//! Results, alerts, rule state, strangers and dead letters, into their topics; with transactions, the offsets too.

mod batch_sender;
pub(crate) mod changelog;
mod outbox;
mod outcome;
mod publisher;
mod records;
mod sender_state;
mod sending;
mod transport;
mod unfit;

#[cfg(test)]
pub(crate) use batch_sender::{BatchSender, NextStep};
pub(crate) use outbox::Assignment;
pub(crate) use outcome::Outcome;
pub(crate) use publisher::Publisher;
#[cfg(test)]
pub(crate) use transport::Transport;

#[cfg(test)]
mod tests {
    use everyframe_types::dead_letter::Stage;

    #[test]
    fn the_documentation_names_every_stage() {
        let names = Stage::ALL.map(|stage| format!("`{}`", stage.as_str()));
        let [others @ .., last] = &names;
        let line = format!("| `everyframe-stage` | {} or {last} |", others.join(", "));
        let page = include_str!("../../../../docs/events.md");
        assert!(page.lines().any(|found| found == line), "docs/events.md lacks this line: {line}");
    }
}
