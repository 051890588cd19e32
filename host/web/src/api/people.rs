//! The enrolled people.

use crate::access::{Enroller, Viewer};
use crate::app::App;
use crate::input::{Body, Page, Parameters, PathParts, cursor};
use crate::live::{SampleEntry, State as LiveState, Who};
use crate::problem::{Problem, Problems};
use crate::views::{Names as _, ReceiptView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use everyframe_gallery::{merge_people, rename_person};
use everyframe_pipeline::erasure::erase_person;
use everyframe_privacy::{Action, NewTrailEntry};
use everyframe_types::id::{parse_name, printable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// When and where somebody was last seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastSeen {
    camera: String,
    at: i64,
}

/// An enrolled person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonView {
    /// The id, as results name it.
    id: String,
    /// The name to show.
    name: String,
    /// Number of samples.
    samples: usize,
    /// When the last sample was enrolled.
    enrolled_at: i64,
    /// The address of the person's best picture.
    picture: Option<String>,
    /// When and where the person was last seen, since the history began.
    last_seen: Option<LastSeen>,
    /// Where the person's consent is recorded; none if none is known.
    consent: Option<String>,
    /// The purposes of the enrolment; none: everything.
    purposes: Vec<String>,
    /// When the enrolment ends; none: never.
    expires_at: Option<i64>,
}

/// One sample of a person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleView {
    id: String,
    /// The name of its picture, or the frame that it is from.
    source: String,
    /// The face's quality, 0 to 1.
    quality: f32,
    /// When it was enrolled.
    enrolled_at: i64,
    /// The address of its picture.
    picture: Option<String>,
    /// The stranger whose picture this was.
    #[serde(skip_serializing_if = "Option::is_none")]
    stranger: Option<String>,
    /// SHA-256 of the embedding model.
    model: String,
}

/// A person and the samples.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonDetails {
    #[serde(flatten)]
    person: PersonView,
    /// The samples, by id.
    #[serde(rename = "sampleList")]
    sample_list: Vec<SampleView>,
    /// The faces that are not this person's, by id.
    #[serde(rename = "negativeSamples")]
    negative_samples: Vec<SampleView>,
    /// The strangers who were enrolled as this person.
    strangers: Vec<String>,
}

/// A page of people.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeopleList {
    /// By name.
    people: Vec<PersonView>,
    /// Number of all people.
    total: usize,
    /// For the next page; none if this was the last.
    next: Option<String>,
}

/// An enrolment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Enrolled {
    pub(super) person: PersonView,
    /// The face's quality, 0 to 1.
    pub(super) quality: f32,
    /// What the operator should look at.
    pub(super) warnings: Vec<String>,
}

/// Which people are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeopleQuery {
    /// Part of the name or id.
    query: Option<String>,
}

/// A new name.
#[derive(Deserialize, ToSchema)]
pub struct NewName {
    /// The name to show.
    name: String,
}

/// Another person.
#[derive(Deserialize, ToSchema)]
pub struct MergeInto {
    /// The id of the person who gets the samples.
    into: String,
}

pub(super) fn view(state: &LiveState, id: &str) -> Option<PersonView> {
    let person = state.people.get(id)?;
    let best = person.samples.iter().filter(|(_, sample)| !sample.thumbnail.is_empty());
    let best = best.max_by(|a, b| a.1.quality.total_cmp(&b.1.quality));
    let seen = state.sightings.last_of(&Who::Known(id.to_owned()));
    Some(PersonView {
        id: id.to_owned(),
        name: person.name.clone(),
        samples: person.samples.len(),
        enrolled_at: person.samples.values().map(|sample| sample.enrolled_at).max().unwrap_or(0),
        // Another best picture has another address, so that no browser shows the old one.
        picture: best.map(|(sample, _)| sample_address(id, sample)),
        last_seen: seen.map(|seen| LastSeen { camera: seen.camera.clone(), at: seen.to }),
        consent: person.terms.consent.clone(),
        purposes: person.terms.purposes.clone(),
        expires_at: person.terms.expires_at,
    })
}

/// An id as part of an address.
pub(super) fn encode(id: &str) -> String {
    id.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte))
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

pub(super) fn not_enrolled(id: &str) -> Problem {
    Problem::not_found(format!("nobody with the id `{}` is enrolled", printable(id)))
}

/// Lists the enrolled people by name.
#[utoipa::path(get, operation_id = "people_list", path = "/people", tag = "people", params(PeopleQuery, Page),
    responses((status = 200, body = PeopleList), Problems))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Parameters(query): Parameters<PeopleQuery>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<PeopleList>, Problem> {
    let limit = page.limit()?;
    let after = page.before()?.map(|(_, key)| key);
    let wanted = query.query.unwrap_or_default().to_lowercase();
    let state = app.live.read();
    let key = |name: &str, id: &str| format!("{}\n{id}", name.to_lowercase());
    let mut found: Vec<(String, &str)> = state
        .people
        .iter()
        .filter(|(id, person)| {
            person.name.to_lowercase().contains(&wanted) || id.to_lowercase().contains(&wanted)
        })
        .map(|(id, person)| (key(&person.name, id), id))
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
        .collect();
    found.sort_unstable();
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|(key, _)| cursor(0, key));
    let people = found.iter().filter_map(|(_, id)| view(&state, id)).collect();
    Ok(Json(PeopleList { people, total: state.people.count(), next }))
}

/// Shows a person and the samples.
#[utoipa::path(get, operation_id = "people_show", path = "/people/{id}", tag = "people", params(("id" = String, Path, description = "The person's id")),
    responses((status = 200, body = PersonDetails), Problems))]
pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    PathParts(id): PathParts<String>,
) -> Result<Json<PersonDetails>, Problem> {
    let state = app.live.read();
    let person = view(&state, &id).ok_or_else(|| not_enrolled(&id))?;
    let entry = state.people.get(&id).ok_or_else(|| not_enrolled(&id))?;
    let views = |samples: &BTreeMap<String, SampleEntry>| {
        samples.iter().map(|(sample, entry)| sample_view(&id, sample, entry)).collect()
    };
    let (sample_list, negative_samples) = (views(&entry.samples), views(&entry.negatives));
    let strangers = state.people.strangers_of(&id);
    Ok(Json(PersonDetails { person, sample_list, negative_samples, strangers }))
}

fn sample_view(person: &str, sample: &str, entry: &SampleEntry) -> SampleView {
    SampleView {
        id: sample.to_owned(),
        source: entry.source.clone(),
        quality: entry.quality,
        enrolled_at: entry.enrolled_at,
        picture: (!entry.thumbnail.is_empty()).then(|| sample_address(person, sample)),
        stranger: entry.stranger.clone(),
        model: entry.model.clone(),
    }
}

fn sample_address(person: &str, sample: &str) -> String {
    format!("/api/v1/people/{}/samples/{}", encode(person), encode(sample))
}

/// Appends a change of a person to the trail, before it is made.
pub(super) fn append_to_trail(
    app: &App,
    actor: &str,
    action: Action,
    person: &str,
    detail: String,
) -> Result<(), Problem> {
    app.trail.append(&NewTrailEntry { actor: actor.to_owned(), action, subject: person.to_owned(), detail })
}

pub(super) fn checked_name(name: &str) -> Result<String, Problem> {
    parse_name(name).map_err(|error| Problem::unprocessable(format!("the name {error}")))
}

/// Changes a person's name.
#[utoipa::path(patch, operation_id = "people_rename", path = "/people/{id}", tag = "people", params(("id" = String, Path, description = "The person's id")),
    request_body = NewName,
    responses((status = 204), Problems))]
pub async fn rename(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
    Body(new): Body<NewName>,
) -> Result<StatusCode, Problem> {
    let name = checked_name(&new.name)?;
    change(&app, move |app| {
        append_to_trail(app, &who.name, Action::Changed, &id, format!("name: {}", printable(&name)))?;
        let renamed = rename_person(&app.config, app.producer()?, &id, &name)?;
        if renamed == 0 { Err(not_enrolled(&id)) } else { Ok(()) }
    })
    .await
}

/// Gives all samples of a person to another person.
#[utoipa::path(post, operation_id = "people_merge", path = "/people/{id}/merge", tag = "people", params(("id" = String, Path, description = "The person's id")),
    request_body = MergeInto,
    responses((status = 204), Problems))]
pub async fn merge(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
    Body(MergeInto { into }): Body<MergeInto>,
) -> Result<StatusCode, Problem> {
    if into == id {
        return Err(Problem::unprocessable("a person cannot be merged into itself"));
    }
    let name = app.live.read().people.name(&into).ok_or_else(|| not_enrolled(&into))?;
    let terms = app.live.read().people.terms(&into).unwrap_or_default();
    change(&app, move |app| {
        append_to_trail(
            app,
            &who.name,
            Action::Changed,
            &id,
            format!("samples given to {}", printable(&into)),
        )?;
        let moved = merge_people(&app.config, app.producer()?, &id, (&into, &name), &terms)?;
        if moved == 0 { Err(not_enrolled(&id)) } else { Ok(()) }
    })
    .await
}

/// Erases a person on all hosts: samples, records of strangers, rule state, and the key that could decrypt copies of them.
#[utoipa::path(delete, operation_id = "people_remove", path = "/people/{id}", tag = "people", params(("id" = String, Path, description = "The person's id")),
    responses((status = 200, body = ReceiptView), Problems))]
pub async fn remove(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
) -> Result<Json<ReceiptView>, Problem> {
    let erased = app.change_people(move |app| {
        let receipt = erase_person(&app.config, &id, &who.name, Action::Erased)?;
        receipt.ok_or_else(|| not_enrolled(&id))
    });
    erased.await.map(|receipt| Json(ReceiptView(receipt)))
}

/// Makes a change that has no other answer than that it is made.
async fn change(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<(), Problem> + Send + 'static,
) -> Result<StatusCode, Problem> {
    app.change_people(work).await.map(|()| StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_encoded_for_an_address() {
        assert_eq!(encode("ann lee?/é"), "ann%20lee%3F%2F%C3%A9");
    }
}
