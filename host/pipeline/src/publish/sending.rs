//! Sends the records of a batch, collects the brokers' answers, and finds the records that caused a refusal.

use super::records::{Destination, Outgoing};
use super::transport::Transport;
use everyframe_config::Topics;
use everyframe_kafka::BrokerError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long to wait for an answer before checking whether the host is ending.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait for answers in a transaction that is already lost: answers to records that were sent come at once, the
/// others never.
const AFTER_REFUSAL: Duration = Duration::from_millis(200);

/// The answer to a record: acknowledged, or why not; none if there was no answer.
pub(super) type Answer = Option<Result<(), BrokerError>>;

/// A record that a topic refused for its size or content.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// Its place among the records of the batch.
    pub number: usize,
    /// Why.
    pub error: BrokerError,
}

/// How records are sent.
pub(super) struct Sending<'a, T: Transport> {
    pub transport: &'a T,
    pub topics: &'a Topics,
    /// Sends each record alone, after the answer to the one before. Ends at the first refusal.
    pub one_by_one: bool,
    pub is_ended: &'a dyn Fn() -> bool,
    /// Is called with the time since the last answer.
    pub on_silence: &'a dyn Fn(Duration),
}

type Answers = Receiver<(usize, Result<(), BrokerError>)>;

impl<T: Transport> Sending<'_, T> {
    /// Sends all records, and waits for the answers: one for each record in turn.
    pub fn send<'r>(&self, records: impl Iterator<Item = &'r Outgoing>) -> Vec<Answer> {
        let (sender, receiver) = channel();
        let mut answers: Vec<Answer> = Vec::new();
        for (number, record) in records.enumerate() {
            answers.push(None);
            if self.one_by_one && number > 0 && !matches!(answers[number - 1], Some(Ok(()))) {
                continue;
            }
            let sender = sender.clone();
            let delivery = Box::new(move |result| drop(sender.send((number, result))));
            record.send(|record| self.transport.send(record, delivery), self.topics);
            if self.one_by_one {
                self.collect(&receiver, &mut answers, 1);
            }
        }
        if !self.one_by_one {
            let count = answers.len();
            self.collect(&receiver, &mut answers, count);
        }
        answers
    }

    /// Waits for so many answers more.
    fn collect(&self, receiver: &Answers, answers: &mut [Answer], count: usize) {
        let mut silence = Duration::ZERO;
        // One refusal aborts a whole transaction.
        let mut is_lost = false;
        for _ in 0..count {
            let (number, result) = loop {
                match receiver.recv_timeout(if is_lost { AFTER_REFUSAL } else { CHECK_INTERVAL }) {
                    Ok(answer) => break answer,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) if is_lost || (self.is_ended)() => return,
                    Err(RecvTimeoutError::Timeout) => {
                        silence += CHECK_INTERVAL;
                        (self.on_silence)(silence);
                    }
                }
            };
            silence = Duration::ZERO;
            is_lost |= self.transport.is_transactional() && matches!(result, Err(BrokerError::Unfit { .. }));
            answers[number] = Some(result);
        }
    }
}

/// The records that topics refused for their size or content.
pub(super) fn refusals(answers: &[Answer]) -> Vec<Refusal> {
    let all = answers.iter().enumerate().filter_map(|(number, answer)| match answer {
        Some(Err(error @ BrokerError::Unfit { .. })) => Some(Refusal { number, error: error.clone() }),
        _ => None,
    });
    all.collect()
}

/// The records to replace. A topic refuses a batch as a whole, so the cause is certain only for a record that was sent alone,
/// for its size or because there was no other for its topic. If one was too large, so are all records for the same topic that
/// are no smaller. Empty if no cause is certain.
pub(super) fn to_replace<'r>(
    records: impl Iterator<Item = &'r Outgoing>,
    refusals: &[Refusal],
    batch_bytes: usize,
    one_by_one: bool,
) -> Vec<Refusal> {
    let records: Vec<(Destination, usize)> = records.map(|record| (record.to, record.size())).collect();
    choose(&records, refusals, batch_bytes, one_by_one)
}

fn choose(
    records: &[(Destination, usize)],
    refusals: &[Refusal],
    batch_bytes: usize,
    one_by_one: bool,
) -> Vec<Refusal> {
    let went_alone = |number: usize| {
        let Some((to, size)) = records.get(number).copied() else { return false };
        one_by_one
            || size >= batch_bytes
            || records.iter().filter(|(other, _)| is_same(*other, to)).count() == 1
    };
    let mut chosen: Vec<Refusal> =
        refusals.iter().filter(|refusal| went_alone(refusal.number)).cloned().collect();
    let too_large: Vec<_> = chosen
        .iter()
        .filter(|refusal| refusal.error.is_too_large())
        .map(|refusal| (records[refusal.number], refusal.error.clone()))
        .collect();
    for (number, (to, size)) in records.iter().enumerate() {
        let larger = too_large.iter().find(|((other, least), _)| is_same(*other, *to) && size >= least);
        if let Some((_, error)) = larger
            && !chosen.iter().any(|refusal| refusal.number == number)
        {
            chosen.push(Refusal { number, error: error.clone() });
        }
    }
    chosen
}

/// True if both go to one topic.
fn is_same(one: Destination, other: Destination) -> bool {
    std::mem::discriminant(&one) == std::mem::discriminant(&other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(number: usize) -> Refusal {
        let reason = "MessageSizeTooLarge".to_owned();
        Refusal { number, error: BrokerError::Unfit { topic: "a".into(), reason } }
    }

    fn chosen(records: &[(Destination, usize)], refused: &[usize], one_by_one: bool) -> Vec<usize> {
        let refusals: Vec<Refusal> = refused.iter().map(|number| refusal(*number)).collect();
        choose(records, &refusals, 1000, one_by_one).iter().map(|refusal| refusal.number).collect()
    }

    const RESULT: Destination = Destination::Results;
    const LETTER: Destination = Destination::DeadLetters;

    #[test]
    fn a_large_record_is_sent_alone_and_is_the_cause() {
        let records = [(RESULT, 10), (LETTER, 3000), (RESULT, 10), (LETTER, 20)];
        assert_eq!(chosen(&records, &[1], false), [1]);
    }

    #[test]
    fn larger_records_for_the_same_topic_are_replaced_with_it() {
        let records = [(LETTER, 3000), (LETTER, 2000), (LETTER, 5000), (RESULT, 9000)];
        assert_eq!(chosen(&records, &[0], false), [0, 2]);
    }

    #[test]
    fn among_small_records_no_cause_is_certain() {
        let records = [(RESULT, 500), (RESULT, 400), (LETTER, 10)];
        assert_eq!(chosen(&records, &[0, 1], false), [0; 0]);
        assert_eq!(chosen(&records, &[1], true), [1, 0], "alone it is, and so is what is larger");
    }

    #[test]
    fn the_only_record_for_a_topic_is_the_cause() {
        assert_eq!(chosen(&[(RESULT, 500), (LETTER, 10)], &[0], false), [0]);
        assert_eq!(chosen(&[(Destination::State(1), 5), (Destination::State(2), 4)], &[0], false), [0; 0]);
    }

    #[test]
    fn a_refusal_for_other_reasons_replaces_one_record() {
        let error = BrokerError::Unfit { topic: "a".into(), reason: "PolicyViolation".into() };
        let refusals = [Refusal { number: 0, error }];
        let records = [(LETTER, 3000), (LETTER, 5000)];
        let chosen = choose(&records, &refusals, 1000, false);
        assert_eq!(chosen.iter().map(|refusal| refusal.number).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn only_unfit_records_count_as_refused() {
        let outage = BrokerError::NotAcknowledged { topic: "a".into(), reason: "timed out".into() };
        let answers = vec![Some(Ok(())), Some(Err(outage)), None, Some(Err(refusal(0).error))];
        let numbers: Vec<usize> = refusals(&answers).iter().map(|refusal| refusal.number).collect();
        assert_eq!(numbers, [3]);
    }
}
