use super::*;
use everyframe_types::dead_letter::{MESSAGE, REASON, STAGE};
use everyframe_types::frame::{Frame, Position};
use std::time::Instant;

fn frame(bytes: usize) -> Arc<Frame> {
    let position = Position { topic: "frames".into(), partition: 1, offset: 7 };
    Arc::new(Frame {
        identity: Position { offset: 3, ..position.clone() },
        position,
        camera: "gate".into(),
        session: "s".into(),
        sequence: 7,
        captured_at: 0,
        claimed_at: 0,
        recorded_at: 0,
        is_numbered: true,
        source: None,
        taken_in_at: Instant::now(),
        sequence_gap: None,
        notice: None,
        callback: None,
        picture: (0..bytes).map(|n| n as u8).collect(),
    })
}

fn refusal() -> BrokerError {
    BrokerError::Unfit { topic: "a-topic".into(), reason: "MessageSizeTooLarge (Broker: too large)".into() }
}

fn record(to: Destination, key: &str, bytes: Vec<u8>) -> Outgoing {
    let (key, value) = (key.to_owned(), Content::Bytes(bytes));
    Outgoing { to, key, value, headers: Vec::new(), frame: Some(frame(5000)) }
}

fn letter(bytes: usize) -> Outgoing {
    let parked = Parked { stage: Stage::Vision, reason: "truncated".into(), message: "m".repeat(9000) };
    dead_letter(&frame(bytes), &parked)
}

fn header<'a>(record: &'a Outgoing, name: &str) -> &'a str {
    record.headers.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value)
}

fn length(record: &Outgoing) -> usize {
    record.value.bytes().map_or(0, <[u8]>::len)
}

#[test]
fn a_letter_that_is_too_large_keeps_its_beginning() {
    let mut records = vec![letter(3_000_000)];
    assert!(length(&records[0]) == 3_000_000 && header(&records[0], MESSAGE).len() <= 4096);
    assert_eq!(replace(&mut records, 0, &refusal()), Remedy::Smaller);
    let partial = &records[0];
    assert_eq!(partial.value.bytes().unwrap(), &frame(3_000_000).picture[..BEGINNING]);
    assert_eq!((partial.key.as_str(), header(partial, REASON)), ("gate", "truncated"));
    assert_eq!((header(partial, ORIGINAL_BYTES), header(partial, ORIGINAL_AT)), ("3000000", "frames/1/7"));
    let sum = hexadecimal(&Sha256::digest(&frame(3_000_000).picture));
    assert_eq!(header(partial, ORIGINAL_SHA256), sum);
    assert!(header(partial, PARTIAL).contains("too large"), "{}", header(partial, PARTIAL));
}

#[test]
fn a_letter_is_halved_until_it_is_empty() {
    for bytes in [0, 1, 1500, 5000, 3_000_000] {
        let mut records = vec![letter(bytes)];
        let mut sizes = vec![(length(&records[0]), records[0].size())];
        let mut steps = 0;
        while replace(&mut records, 0, &refusal()) == Remedy::Smaller {
            steps += 1;
            sizes.push((length(&records[0]), records[0].size()));
            assert!(steps < 12, "{sizes:?}");
        }
        // The first step adds headers; from then on each is smaller, down to headers alone.
        assert!(sizes[1..].windows(2).all(|pair| pair[1].1 < pair[0].1), "{sizes:?}");
        let (left, size) = sizes.last().copied().unwrap();
        assert!(left == 0 && size < 3000, "{sizes:?}");
        assert_eq!(header(&records[0], ORIGINAL_BYTES), bytes.to_string());
        assert_eq!(records[0].headers.iter().filter(|(name, _)| *name == ORIGINAL_BYTES).count(), 1);
    }
}

#[test]
fn a_result_that_is_too_large_parks_its_frame() {
    let mut records = vec![
        record(Destination::Alerts, "gate", b"{}".to_vec()),
        record(Destination::Results, "gate", vec![0; 2000]),
        record(Destination::State(1), "who/gate/k", vec![1]),
    ];
    let Remedy::Parked(parked) = replace(&mut records, 1, &refusal()) else { panic!("not parked") };
    assert_eq!((parked.stage, parked.reason.as_str()), (Stage::Publish, "result-too-large"));
    let to: Vec<Destination> = records.iter().map(|record| record.to).collect();
    assert_eq!(to, [Destination::Alerts, Destination::State(1), Destination::DeadLetters]);
    assert_eq!((length(&records[2]), header(&records[2], STAGE)), (5000, "publish"));
}

#[test]
fn other_refusals_have_another_reason() {
    let mut records = vec![record(Destination::Results, "gate", vec![0; 20])];
    let policy = BrokerError::Unfit { topic: "a".into(), reason: "PolicyViolation".into() };
    let Remedy::Parked(parked) = replace(&mut records, 0, &policy) else { panic!("not parked") };
    assert_eq!(parked.reason, "result-refused");
}

#[test]
fn a_state_record_that_is_too_large_parks_its_frame() {
    let mut records = vec![
        record(Destination::Results, "gate", vec![0; 20]),
        record(Destination::State(1), "strangers/a%2Fb/seen", vec![1; 700]),
    ];
    let Remedy::Parked(parked) = replace(&mut records, 1, &refusal()) else { panic!("not parked") };
    assert_eq!(parked.reason, "rule-state-too-large");
    assert!(parked.message.contains("`strangers` keeps 700 bytes under `seen`"), "{}", parked.message);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].to, Destination::DeadLetters);

    // Where the result is safe already, the frame has its outcome.
    let mut records = vec![record(Destination::State(1), "strangers/gate/seen", vec![1; 700])];
    assert_eq!(replace(&mut records, 0, &refusal()), Remedy::LeftOut);
    assert!(records.is_empty());
}

#[test]
fn an_alert_that_is_too_large_is_cut() {
    let event = |subject: String| {
        serde_json::json!({ "id": "frames/1/3/who/0", "data": {
            "rule": "who", "kind": "known-person", "subject": subject, "dedupKey": subject, "text": "t".repeat(90_000),
        }})
    };
    let alert =
        |subject: String| record(Destination::Alerts, "gate", event(subject).to_string().into_bytes());
    let parsed = |record: &Outgoing| serde_json::from_slice::<Value>(record.value.bytes().unwrap()).unwrap();
    let mut records = vec![alert("a".repeat(6000) + "1"), alert("a".repeat(6000) + "2")];
    let before = records[0].size();
    for place in [0, 1] {
        assert_eq!(replace(&mut records, place, &refusal()), Remedy::Smaller);
    }
    let (one, other) = (parsed(&records[0]), parsed(&records[1]));
    assert_eq!(one["id"], "frames/1/3/who/0");
    assert!(one["data"]["text"].as_str().unwrap().len() <= 4096 && one["data"]["kind"] == "known-person");
    assert_ne!(one["data"]["dedupKey"], other["data"]["dedupKey"], "two things stay two");
    assert_ne!(one["data"]["subject"], other["data"]["subject"]);
    assert!(header(&records[0], CUT).parse::<usize>().unwrap() > 90_000 && records[0].size() < before);

    // As short as it gets, it is named by the dead letter of its frame.
    let mut records = vec![records.remove(0), record(Destination::Results, "gate", vec![0; 20])];
    let parked = loop {
        match replace(&mut records, 0, &refusal()) {
            Remedy::Smaller => {}
            Remedy::Parked(parked) => break parked,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(parked.reason, "alert-too-large");
    assert!(parked.message.contains("known-person of rule `who`"), "{}", parked.message);
    assert_eq!(records.len(), 1);
}

#[test]
fn a_deletion_record_has_nothing_smaller() {
    let mut records = vec![crate::publish::records::deleted(0, 3..9)];
    assert_eq!(replace(&mut records, 0, &refusal()), Remedy::Nothing);
    assert_eq!(records.len(), 1);
}

#[test]
fn a_refused_view_of_a_stranger_is_left_out() {
    let mut records = vec![
        record(Destination::Results, "gate", vec![1]),
        record(Destination::Strangers, "ann/gate/0", vec![1; 700]),
    ];
    assert_eq!(replace(&mut records, 1, &refusal()), Remedy::LeftOut);
    assert!(matches!(&records[..], [Outgoing { to: Destination::Results, .. }]));
}
