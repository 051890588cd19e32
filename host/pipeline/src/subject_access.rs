//! Everything that is known about a person, for the person (GDPR Art. 15).

use crate::erasure::{ErasureError, Traces};
use everyframe_config::Config;
use everyframe_gallery::{ErasureNotice, Terms, find_traces};
use everyframe_kafka::Reader;
use everyframe_privacy::{Action, KeyRing, NewTrailEntry, Trail, TrailCheck, TrailEntry};
use everyframe_types::record::IncomingRecord as _;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// Everything that the topics hold about a person.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonExport {
    /// The person's id.
    pub person: String,
    /// The samples.
    pub samples: Vec<ExportedSample>,
    /// The ids of the strangers who were the person.
    pub strangers: Vec<String>,
    /// Number of records of these strangers; each is a template and a place, and is deleted after hours.
    pub stranger_records: usize,
    /// The faces in results that were taken for the person or one of the strangers.
    pub sightings: Vec<Sighting>,
    /// The alerts that name the person or one of the strangers, as they were published.
    pub alerts: Vec<Value>,
    /// Keys of the rule state that names the person.
    pub rule_state: Vec<String>,
    /// What was done with the person's data.
    pub trail: Vec<TrailEntry>,
}

/// A sample.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedSample {
    /// The record key.
    pub key: String,
    /// The display name.
    pub name: String,
    /// The picture's file name, or the frame that it is from.
    pub source: String,
    /// When the person was enrolled, Unix milliseconds.
    pub enrolled_at: i64,
    /// The face's quality, 0 to 1.
    pub quality: f32,
    /// SHA-256 of the embedding model.
    pub model: String,
    /// The template, a unit vector.
    pub template: Vec<f32>,
    /// The JPEG of the face, base64.
    pub picture: String,
    /// What the person agreed to.
    pub terms: Terms,
}

/// A face of a result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    /// The result's place: partition and offset in the results topic.
    pub place: (i32, i64),
    /// When the result was written, Unix milliseconds.
    pub at: i64,
    /// The camera.
    pub camera: String,
    /// The face as it was published.
    pub face: Value,
}

/// Reads everything that is known about a person, and appends this to the trail; none if nothing is known.
///
/// # Errors
///
/// The brokers do not answer, or a key is missing.
pub fn export_person(
    config: &Config,
    person: &str,
    actor: &str,
) -> Result<Option<PersonExport>, ErasureError> {
    let ring = Arc::new(KeyRing::load(&config.privacy)?);
    let found = find_traces(config, &ring, person, &[])?;
    let notice = ErasureNotice {
        id: String::new(),
        person: found.person.clone(),
        strangers: found.strangers.iter().cloned().collect(),
        at: 0,
        round: 0,
        is_done: false,
    };
    let traces = Traces::new(&notice);
    let mut export = PersonExport {
        person: found.person.clone(),
        samples: found
            .samples
            .iter()
            .map(|(key, sample)| ExportedSample {
                key: key.clone(),
                name: sample.name.clone(),
                source: sample.source.clone(),
                enrolled_at: sample.enrolled_at,
                quality: sample.quality,
                model: sample.model.clone(),
                template: sample.embedding.values().to_vec(),
                picture: sample.thumbnail_base64(),
                terms: sample.terms.clone(),
            })
            .collect(),
        strangers: notice.strangers.clone(),
        stranger_records: found.stranger_records.len(),
        sightings: read_sightings(config, &found.person, &notice.strangers, &traces)?,
        alerts: read_alerts(config, &traces)?,
        rule_state: crate::erasure::state_keys(config, &ring, &traces)?,
        trail: read_trail(config, &found.person)?,
    };
    let is_known = !found.is_empty() || !export.sightings.is_empty() || !export.alerts.is_empty();
    if !is_known {
        return Ok(None);
    }
    let entry = NewTrailEntry {
        actor: actor.to_owned(),
        action: Action::Exported,
        subject: found.person.clone(),
        detail: String::new(),
    };
    Trail::open(config)?.append(&entry)?;
    export.sightings.sort_by_key(|sighting| sighting.at);
    Ok(Some(export))
}

fn read_sightings(
    config: &Config,
    person: &str,
    strangers: &[String],
    traces: &Traces,
) -> Result<Vec<Sighting>, ErasureError> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.results)?;
    let mut found = Vec::new();
    while let Some(record) = reader.next()? {
        let Some(value) = record.value().filter(|value| traces.are_in("", value)) else { continue };
        let Ok(event) = serde_json::from_slice::<Value>(value) else { continue };
        let camera = event["data"]["camera"].as_str().unwrap_or_default().to_owned();
        let faces = event["data"]["faces"].as_array().cloned().unwrap_or_default();
        let is_of = |face: &Value| {
            face["person"] == person
                || face["stranger"]["id"].as_str().is_some_and(|id| strangers.iter().any(|it| it == id))
        };
        found.extend(faces.into_iter().filter(is_of).map(|face| Sighting {
            place: (record.partition(), record.offset()),
            at: record.timestamp(),
            camera: camera.clone(),
            face,
        }));
    }
    Ok(found)
}

fn read_alerts(config: &Config, traces: &Traces) -> Result<Vec<Value>, ErasureError> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.alerts)?;
    let mut found = Vec::new();
    while let Some(record) = reader.next()? {
        let value = record.value().filter(|value| traces.are_in("", value));
        found.extend(value.and_then(|value| serde_json::from_slice::<Value>(value).ok()));
    }
    Ok(found)
}

fn read_trail(config: &Config, person: &str) -> Result<Vec<TrailEntry>, ErasureError> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.trail)?;
    let (mut check, mut found) = (TrailCheck::new(None), Vec::new());
    while let Some(record) = reader.next()? {
        let entry = check.add(record.offset(), record.value().unwrap_or_default());
        let names = |entry: &TrailEntry| {
            entry.subject == person || entry.subject.contains(&format!("person {person}"))
        };
        found.extend(entry.filter(names));
    }
    Ok(found)
}
