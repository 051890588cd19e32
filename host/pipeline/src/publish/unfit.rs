//! Replaces a record that its topic refuses for good by a smaller one. Pure functions, without Kafka.
//!
//! Each step makes the record smaller or parks its frame, until a topic takes it:
//!
//! ```text
//! result ──────────> dead letter `result-too-large`
//! rule's state ────> dead letter `rule-state-too-large`
//! stranger ────────> left out
//! alert ─> cut ────> dead letter `alert-too-large`
//! dead letter ─────> its beginning ─> half of that ─> … ─> no bytes ─> short headers
//! ```

use super::changelog;
use super::outcome::{CUT, shortened};
use super::records::{Content, Destination, Outgoing, dead_letter};
use everyframe_kafka::BrokerError;
use everyframe_types::dead_letter::{
    MESSAGE, ORIGINAL_AT, ORIGINAL_BYTES, ORIGINAL_SHA256, PARTIAL, Parked, Stage,
};
use everyframe_types::frame::Frame;
use everyframe_types::hexadecimal::hexadecimal;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The first attempt keeps this much of a picture that is too large, bytes: enough for its header and its metadata.
const BEGINNING: usize = 16 << 10;
/// Less than this of a picture is of no use, bytes.
const LEAST_BEGINNING: usize = 1 << 10;
/// The longest text of an alert that was cut once, twice, and so on, bytes.
const ALERT_TEXTS: [usize; 3] = [4 << 10, 512, 64];
/// The longest header of a dead letter that has nothing else left to lose, bytes.
const SHORT_HEADER: usize = 64;

/// What was done about a refused record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A smaller record has taken its place.
    Smaller,
    /// Its frame is parked in its place.
    Parked(Parked),
    /// It is left out: its frame has a result or a dead letter all the same.
    LeftOut,
    /// There is nothing smaller: the topic is too small to be used.
    Nothing,
}

/// Replaces the record at index `place` of a frame's records by a smaller one.
pub(super) fn replace(records: &mut Vec<Outgoing>, place: usize, refusal: &BrokerError) -> Remedy {
    let record = &mut records[place];
    let (to, frame) = (record.to, record.frame.clone());
    let Some(frame) = frame else { return Remedy::Nothing };
    let reason = |what: &str| match refusal.is_too_large() {
        true => format!("{what}-too-large"),
        false => format!("{what}-refused"),
    };
    match to {
        Destination::DeadLetters => {
            if cut_letter(record, &frame, refusal) {
                Remedy::Smaller
            } else {
                Remedy::Nothing
            }
        }
        Destination::Alerts if cut_alert(record) => Remedy::Smaller,
        Destination::Alerts => {
            let message = format!("an alert cannot be published ({refusal}): {}", text_of_alert(record));
            records.remove(place);
            park(records, &frame, reason("alert"), message)
        }
        Destination::Results => {
            let message = format!("its result of {} bytes cannot be published: {refusal}", record.size());
            records.remove(place);
            park(records, &frame, reason("result"), message)
        }
        Destination::Strangers => {
            let key = &record.key;
            tracing::error!(key, "a view of a stranger is not shared with other cameras: {refusal}");
            records.remove(place);
            Remedy::LeftOut
        }
        Destination::State(_) => {
            let kept = record.value.bytes().map_or(0, <[u8]>::len);
            let (rule, _, key) = changelog::names(&record.key).unwrap_or_default();
            let message = format!("rule `{rule}` keeps {kept} bytes under `{key}`: {refusal}");
            records.remove(place);
            match records.iter().any(|record| record.to == Destination::Results) {
                true => park(records, &frame, reason("rule-state"), message),
                false => {
                    tracing::error!(rule, key, "a rule's state is not written: {message}");
                    Remedy::LeftOut
                }
            }
        }
    }
}

/// Replaces the frame's result by its dead letter. Its alerts and rule state are still published: people wait for the alerts,
/// and the next frames were already judged with the state.
fn park(records: &mut Vec<Outgoing>, frame: &Arc<Frame>, reason: String, message: String) -> Remedy {
    if records.iter().any(|record| record.to == Destination::DeadLetters) {
        tracing::error!(reason, "a record of a frame that is parked already is left out: {message}");
        return Remedy::LeftOut;
    }
    let parked = Parked { stage: Stage::Publish, reason, message };
    records.retain(|record| record.to != Destination::Results);
    records.push(dead_letter(frame, &parked));
    Remedy::Parked(parked)
}

/// Shortens a letter's picture or, if no picture is left, its headers. False if nothing can be shortened any more.
fn cut_letter(letter: &mut Outgoing, frame: &Arc<Frame>, refusal: &BrokerError) -> bool {
    let whole = frame.picture.len();
    match letter.value {
        Content::PictureOf(_) => {
            letter.headers.extend([
                (PARTIAL, shortened(&refusal.to_string(), 1 << 10)),
                (ORIGINAL_BYTES, whole.to_string()),
                (ORIGINAL_SHA256, hexadecimal(&Sha256::digest(&frame.picture))),
                (ORIGINAL_AT, frame.position.to_string()),
            ]);
            letter.value = Content::StartOf(frame.clone(), BEGINNING.min(useful_length(whole / 2)));
        }
        Content::StartOf(_, 1..) => {
            let kept = letter.value.bytes().map_or(0, <[u8]>::len);
            letter.value = Content::StartOf(frame.clone(), useful_length(kept / 2));
        }
        _ => {
            let long = |(name, value): &(&str, String)| {
                matches!(*name, MESSAGE | PARTIAL) && value.len() > SHORT_HEADER
            };
            let has_long = letter.headers.iter().any(long);
            for header in letter.headers.iter_mut().filter(|header| long(header)) {
                header.1 = shortened(&header.1, SHORT_HEADER);
            }
            return has_long;
        }
    }
    true
}

/// The number of bytes, or 0 if that is too little of a picture to be of use.
fn useful_length(bytes: usize) -> usize {
    if bytes < LEAST_BEGINNING { 0 } else { bytes }
}

/// Cuts an alert's texts to the next length that makes it smaller. False if no length does.
fn cut_alert(record: &mut Outgoing) -> bool {
    let Content::Bytes(json) = &record.value else { return false };
    let Ok(mut event) = serde_json::from_slice::<Value>(json) else { return false };
    for longest in ALERT_TEXTS {
        cut_texts(&mut event, longest);
        let smaller = event.to_string().into_bytes();
        if smaller.len() < json.len() {
            let before = json.len();
            if !record.headers.iter().any(|(name, _)| *name == CUT) {
                record.headers.push((CUT, before.to_string()));
            }
            record.value = Content::Bytes(smaller);
            return true;
        }
    }
    false
}

/// Cuts the texts of an alert. Subject and dedup key get a checksum of the whole, so that different ones stay different.
fn cut_texts(event: &mut Value, longest: usize) {
    let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) else { return };
    for (name, value) in data {
        let Value::String(text) = value else { continue };
        if text.len() > longest {
            let sum = hexadecimal(&Sha256::digest(text.as_bytes())[..8]);
            *text = match name.as_str() {
                "dedupKey" | "subject" => shortened(text, longest.saturating_sub(sum.len())) + &sum,
                _ => shortened(text, longest),
            };
        }
    }
}

fn text_of_alert(record: &Outgoing) -> String {
    let event = record.value.bytes().and_then(|json| serde_json::from_slice::<Value>(json).ok());
    let field = |name: &str| {
        let data = event.as_ref().and_then(|event| event.get("data"));
        data.and_then(|data| data.get(name)).and_then(Value::as_str).unwrap_or("?").to_owned()
    };
    format!("{} of rule `{}` about {}: {}", field("kind"), field("rule"), field("subject"), field("text"))
}

#[cfg(test)]
#[path = "unfit_tests.rs"]
mod tests;
