//! What people change of strangers by hand: merge two, split one, forget one.

use crate::access::Enroller;
use crate::app::App;
use crate::input::{Body, PathParts};
use crate::live::{Sighting, SightingFilter, VISIT_GAP_MS, Who};
use crate::problem::{Problem, Problems};
use crate::views::ReceiptView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use everyframe_gallery::{
    GalleryError, MovedVisit, STRANGER_PREFIX, StrangerChange, StrangerMerge, StrangerRecord, StrangerView,
    read_strangers,
};
use everyframe_pipeline::erasure::erase_person;
use everyframe_privacy::{Action, KeyRing, NewTrailEntry};
use everyframe_types::event::EventPosition;
use everyframe_types::face::Embedding;
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_types::id::printable;
use everyframe_types::machine::unix_ms;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use utoipa::ToSchema;

/// How long a change holds, milliseconds; as long as the strangers topic keeps it.
const HOLDS_MS: i64 = 8 * 3600 * 1000;
/// Results of frames that were taken so much later may still be on their way when a stranger is forgotten, milliseconds.
const LATE_MS: i64 = 5_000;
/// Pictures of each part that a split looks at.
const COMPARED: usize = 5;

/// The other stranger.
#[derive(Deserialize, ToSchema)]
pub struct MergeStranger {
    /// The id of the stranger who gets the sightings.
    into: String,
}

/// The sightings of somebody else.
#[derive(Deserialize, ToSchema)]
pub struct SplitStranger {
    /// Their ids. At least one sighting of the stranger must be left.
    sightings: Vec<String>,
}

/// A stranger that was made.
#[derive(Serialize, ToSchema)]
pub struct NewStranger {
    /// Its id.
    id: String,
}

fn not_known(id: &str) -> Problem {
    Problem::not_found(format!("no stranger `{}` is known; it may have expired", printable(id)))
}

/// Says that two strangers are one person. The sightings, and what cameras see from now on, belong to the other id.
#[utoipa::path(post, operation_id = "strangers_merge", path = "/strangers/{id}/merge", tag = "strangers",
    params(("id" = String, Path, description = "The stranger's id, which is given up")), request_body = MergeStranger,
    responses((status = 204), Problems))]
pub async fn merge(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
    Body(MergeStranger { into }): Body<MergeStranger>,
) -> Result<StatusCode, Problem> {
    if id == into {
        return Err(Problem::unprocessable("a stranger cannot be merged into itself"));
    }
    app.block(move |app| {
        let best = {
            let state = app.live.read();
            state.sightings.stranger(&into).ok_or_else(|| not_known(&into))?;
            let stranger = state.sightings.stranger(&id).ok_or_else(|| not_known(&id))?;
            let camera = stranger.cameras.first().cloned().unwrap_or_default();
            stranger.best.first().map(|best| (camera, best.place)).ok_or_else(|| not_known(&id))?
        };
        append_to_trail(
            app,
            &who.name,
            Action::Changed,
            &id,
            format!("merged into stranger {}", printable(&into)),
        )?;
        let now = unix_ms();
        let merge = StrangerMerge {
            stranger: id,
            merged_into: into,
            camera: best.0,
            position: EventPosition {
                topic: app.config.topics.frames.clone(),
                partition: best.1.partition,
                offset: best.1.offset,
            },
            seen_at: now,
            expires_at: now + HOLDS_MS,
        };
        publish(app, StrangerRecord::Merge(merge))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Forgets a stranger: the sightings, the templates on all hosts, and what rules keep. Who is still before a camera is a new stranger.
#[utoipa::path(delete, operation_id = "strangers_forget", path = "/strangers/{id}", tag = "strangers",
    params(("id" = String, Path, description = "The stranger's id")),
    responses((status = 200, body = ReceiptView), (status = 204, description = "Of this stranger there were only sightings"), Problems))]
pub async fn forget(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
) -> Result<Response, Problem> {
    app.change_people(move |app| {
        let last_seen = || app.live.read().sightings.stranger(&id).map(|stranger| stranger.last_seen_at);
        let seen_before = last_seen().ok_or_else(|| not_known(&id))?;
        if app.live.read().people.get(&id).is_some() {
            let detail = format!("a person is enrolled as `{}`: erase the person", printable(&id));
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let changes = changes_of(app, &id, unix_ms());
        let receipt = erase_person(&app.config, &id, &who.name, Action::Erased)?;
        if receipt.is_none() {
            append_to_trail(app, &who.name, Action::Erased, &id, "sightings".into())?;
        }
        // Frame time, because the frames may be old. Read after the erasure: a person before a camera was seen until now.
        let until = last_seen().unwrap_or(seen_before).max(seen_before).saturating_add(LATE_MS);
        // After the erasure, which would erase them, too.
        for (_, change) in changes {
            publish(app, StrangerRecord::Change(StrangerChange { forgotten_until: Some(until), ..change }))?;
        }
        Ok(match receipt {
            Some(receipt) => Json(ReceiptView(receipt)).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        })
    })
    .await
}

/// Splits a stranger who is two people: the given sightings become those of a new stranger. Cameras recognise each of the two by
/// its own pictures from now on.
#[utoipa::path(post, operation_id = "strangers_split", path = "/strangers/{id}/split", tag = "strangers",
    params(("id" = String, Path, description = "The stranger's id")), request_body = SplitStranger,
    responses((status = 201, body = NewStranger), Problems))]
pub async fn split(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
    Body(SplitStranger { sightings }): Body<SplitStranger>,
) -> Result<(StatusCode, Json<NewStranger>), Problem> {
    app.recognise(move |app| {
        let (moved, kept) = {
            let state = app.live.read();
            state.sightings.stranger(&id).ok_or_else(|| not_known(&id))?;
            let filter = SightingFilter { who: vec![Who::Stranger(id.clone())], ..SightingFilter::default() };
            let all = state.sightings.find(&filter).map(|(_, sighting)| sighting.clone());
            all.partition::<Vec<Sighting>, _>(|sighting| sightings.contains(&sighting.id))
        };
        if moved.is_empty() || kept.is_empty() {
            return Err(Problem::unprocessable(
                "give at least one sighting of this stranger, and leave at least one; to move all, merge the stranger",
            ));
        }
        let now = unix_ms();
        let new = format!("{STRANGER_PREFIX}{}", &hexadecimal(&Sha256::digest(format!("{id} {now}")))[..10]);
        let (of_new, of_old) = (views(app, &moved, &new), views(app, &kept, &id));
        if of_new.is_empty() {
            return Err(Problem::unprocessable("no frame of these sightings is kept, so nobody can be recognised by them"));
        }
        let similarity = |views: &[StrangerView], face: &Embedding| {
            views.iter().map(|view| view.embedding.similarity(face)).fold(-1.0, f32::max)
        };
        let is_new = |view: &StrangerView| similarity(&of_new, &view.embedding) > similarity(&of_old, &view.embedding);
        append_to_trail(app, &who.name, Action::Changed, &id, format!("visits given to stranger {new}: {}", moved.len()))?;
        let visits = moved.iter().map(|sighting| MovedVisit {
            camera: sighting.camera.clone(),
            from: sighting.from,
            // A visit may go on. The next one begins later than that.
            to: sighting.to.saturating_add(VISIT_GAP_MS),
            stranger: new.clone(),
        });
        let visits: Vec<MovedVisit> = visits.collect();
        for view in &of_new {
            publish(app, StrangerRecord::View(view.clone()))?;
        }
        for (id, mut change) in changes_of(app, &id, now) {
            change.moved.extend(visits.iter().cloned());
            publish(app, StrangerRecord::Change(change))?;
            erase_views(app, &id, is_new)?;
        }
        Ok((StatusCode::CREATED, Json(NewStranger { id: new })))
    })
    .await
}

/// Writes into the trail what is going to be done to a stranger.
fn append_to_trail(
    app: &App,
    actor: &str,
    action: Action,
    stranger: &str,
    detail: String,
) -> Result<(), Problem> {
    let subject = format!("stranger {}", printable(stranger));
    app.trail.append(&NewTrailEntry { actor: actor.to_owned(), action, subject, detail })
}

/// For each id that the stranger has or had, a change that adds to the one before.
fn changes_of(app: &App, stranger: &str, now: i64) -> Vec<(String, StrangerChange)> {
    let state = app.live.read();
    let ids = &state.sightings.ids;
    let change = |id: String| {
        let before = ids.change_of(&id);
        let change = StrangerChange {
            stranger: id.clone(),
            changed_at: now,
            forgotten_until: before.and_then(|before| before.forgotten_until),
            moved: before.map(|before| before.moved.clone()).unwrap_or_default(),
            expires_at: now + HOLDS_MS,
        };
        (id, change)
    };
    ids.all_of(stranger).into_iter().map(change).collect()
}

/// The best pictures of the sightings as views of a stranger. Pictures that cannot be used are left out.
fn views(app: &App, sightings: &[Sighting], stranger: &str) -> Vec<StrangerView> {
    let mut best: Vec<&Sighting> = sightings.iter().collect();
    best.sort_by(|a, b| b.best.quality.total_cmp(&a.best.quality));
    let first_seen_at = sightings.iter().map(|sighting| sighting.from).min().unwrap_or_default();
    let seen_at = sightings.iter().map(|sighting| sighting.to).max().unwrap_or_default();
    let mut views: Vec<StrangerView> = Vec::new();
    for sighting in best.into_iter().take(COMPARED) {
        let place = sighting.best.place;
        let Ok(frame) = app.pictures.frame(place) else { continue };
        let masks = app.pictures.masks_of(&frame.camera);
        let examined = app.recogniser.examine(&frame.bytes, 0.0, Some(&sighting.best.bounds), &masks);
        let Ok((face, model, _)) = examined else { continue };
        let number = views.iter().filter(|view| view.camera == sighting.camera).count();
        views.push(StrangerView {
            stranger: stranger.to_owned(),
            camera: sighting.camera.clone(),
            view: u32::try_from(number).unwrap_or(u32::MAX),
            model,
            embedding: face.embedding,
            quality: face.quality,
            bounds: sighting.best.bounds,
            position: EventPosition {
                topic: app.config.topics.frames.clone(),
                partition: place.partition,
                offset: place.offset,
            },
            first_seen_at,
            seen_at,
            visits: u32::try_from(sightings.len()).unwrap_or(u32::MAX),
            expires_at: seen_at.saturating_add(HOLDS_MS),
        });
    }
    views
}

/// Writes a record, and applies it at once: the topic brings the same again.
fn publish(app: &App, record: StrangerRecord) -> Result<(), Problem> {
    let ring = KeyRing::load(&app.config.privacy).map_err(GalleryError::from)?;
    let (key, value) = (record.key(), record.to_value(&ring).map_err(GalleryError::from)?);
    app.write(&app.config.topics.strangers, &key, Some(&value))?;
    app.live.write().sightings.apply(record);
    Ok(())
}

/// Erases the shared views of a stranger that are wanted, with tombstones.
fn erase_views(app: &App, stranger: &str, is_wanted: impl Fn(&StrangerView) -> bool) -> Result<(), Problem> {
    for (key, record) in read_strangers(&app.config)? {
        if let StrangerRecord::View(view) = record
            && view.stranger == stranger
            && is_wanted(&view)
        {
            app.write(&app.config.topics.strangers, &key, None)?;
        }
    }
    Ok(())
}
