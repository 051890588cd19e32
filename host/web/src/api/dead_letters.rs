//! Frames that could not be processed.

use crate::access::{Administrator, Viewer};
use crate::app::App;
use crate::input::{Body, Page, Parameters, PathParts, cursor};
use crate::live::LetterEntry;
use crate::problem::{Problem, Problems};
use crate::views::{Binary, Place};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everyframe_account::dead_letters::{ActionReport, DeadLetterError, Filter, Selection};
use everyframe_config::Role;
use everyframe_kafka::RecordReader;
use everyframe_types::dead_letter::{self, LetterAction, REASON};
use everyframe_types::record::camera_id;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The most dead letters that one request replays or drops by their places.
const MAX_PLACES: usize = 200;

/// A frame that could not be processed.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterView {
    /// The dead letter's place in its topic.
    place: Place,
    /// The frame's place in the frames topic.
    frame: Place,
    camera: String,
    /// When it was parked.
    at: i64,
    /// The stage that failed: `vision`, `rules`, `publish`, `host`.
    stage: String,
    /// A stable name of the reason.
    reason: String,
    /// A sentence, at most 500 characters of it.
    message: String,
    /// Size of the kept bytes.
    bytes: usize,
    /// `open`, `replayed` or `dropped`.
    state: String,
    /// The address of the kept bytes.
    picture: String,
}

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterList {
    /// Newest first.
    dead_letters: Vec<DeadLetterView>,
    /// For the next page; none if this was the last.
    next: Option<String>,
    /// Number of all open ones.
    open_count: usize,
    /// False while the topic is still being read: more may come.
    is_complete: bool,
}

/// Which dead letters are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeadLettersQuery {
    /// `open`, `replayed` or `dropped`; all if not given.
    state: Option<String>,
    /// Of this camera.
    camera: Option<String>,
}

/// The dead letters that an action is about.
#[derive(Deserialize, ToSchema)]
pub struct Chosen {
    /// The places of their frames in the frames topic (`frame`), at most 200.
    #[serde(default)]
    frames: Vec<Place>,
    /// All open ones.
    #[serde(default)]
    all: bool,
}

/// A frame that could not be replayed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedReplay {
    frame: Place,
    reason: String,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionView {
    /// Frames that were replayed or dropped.
    frames: u64,
    /// Dead letters that were marked.
    marked: u64,
    /// Frames that could not be replayed.
    failed: Vec<FailedReplay>,
}

impl From<DeadLetterError> for Problem {
    fn from(error: DeadLetterError) -> Self {
        Self::unavailable(error.to_string())
    }
}

/// Lists dead letters: the last 20,000.
#[utoipa::path(get, operation_id = "dead_letters_list", path = "/dead-letters", tag = "dead letters", params(DeadLettersQuery, Page),
    responses((status = 200, body = DeadLetterList), Problems))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Parameters(query): Parameters<DeadLettersQuery>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<DeadLetterList>, Problem> {
    let (limit, before) = (page.limit()?, page.before()?);
    if query.state.as_deref().is_some_and(|state| !["open", "replayed", "dropped"].contains(&state)) {
        return Err(Problem::bad_request("`state` must be `open`, `replayed` or `dropped`"));
    }
    let before = match before {
        None => None,
        Some((at, place)) => Some((
            at,
            dead_letter::Place::parse(&place)
                .ok_or_else(|| Problem::bad_request("`before` must be the `next` of another page"))?,
        )),
    };
    let state = app.live.read();
    let letters = &state.dead_letters;
    let state_of = |letter: &LetterEntry| letters.action(letter.place).map_or("open", LetterAction::name);
    let is_wanted = |letter: &&LetterEntry| {
        query.state.as_deref().is_none_or(|wanted| wanted == state_of(letter))
            && query.camera.as_ref().is_none_or(|wanted| *wanted == letter.camera)
    };
    let mut found = letters.iter(before).filter(is_wanted);
    let page: Vec<&LetterEntry> = found.by_ref().take(limit).collect();
    let next = page.last().filter(|_| found.next().is_some()).map(|last| cursor(last.at, last.place));
    Ok(Json(DeadLetterList {
        dead_letters: page.into_iter().map(|letter| DeadLetterView::new(letter, state_of(letter))).collect(),
        next,
        open_count: letters.open().count(),
        is_complete: letters.is_complete,
    }))
}

impl DeadLetterView {
    fn new(letter: &LetterEntry, state: &str) -> Self {
        let at = Place::from(letter.place);
        Self {
            place: at,
            frame: letter.frame.into(),
            camera: letter.camera.clone(),
            at: letter.at,
            stage: letter.stage.clone(),
            reason: letter.reason.clone(),
            message: letter.message.clone(),
            bytes: letter.bytes,
            state: state.to_owned(),
            picture: format!("/api/v1/dead-letters/{}/{}/picture", at.partition, at.offset),
        }
    }
}

/// Shows the picture that was kept of a frame, with masked parts painted over. If it cannot be decoded, the role `admin` gets its
/// bytes.
#[utoipa::path(get, operation_id = "dead_letters_picture", path = "/dead-letters/{partition}/{offset}/picture", tag = "dead letters",
    params(("partition" = i32, Path, description = "The partition of the dead-letters topic"),
           ("offset" = i64, Path, description = "The offset")),
    responses((status = 200, content_type = "image/jpeg", body = Binary), Problems))]
pub async fn picture(
    State(app): State<Arc<App>>,
    Viewer(identity): Viewer,
    PathParts((partition, offset)): PathParts<(i32, i64)>,
) -> Result<Response, Problem> {
    if app.config.privacy.hide_without_consent && identity.role < Role::Admin {
        let detail =
            "nobody knows whose faces a dead letter shows, and [privacy] hide_without_consent is set";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    app.block(move |app| {
        let topic = &app.config.topics.dead_letters;
        let record = RecordReader::new(&app.config.kafka)?.read(topic, partition, offset)?;
        let record = record.filter(|record| record.header(REASON).is_some() && !record.value.is_empty());
        let record =
            record.ok_or_else(|| Problem::not_found("there is no dead letter with bytes at this place"))?;
        let camera = camera_id(record.key.as_deref(), partition);
        match app.pictures.mask(&camera, &record.value) {
            Ok(picture) => Ok(([(header::CONTENT_TYPE, "image/jpeg")], picture).into_response()),
            // Nobody knows what such bytes show.
            Err(_) if identity.role >= Role::Admin => {
                Ok(([(header::CONTENT_TYPE, "application/octet-stream")], record.value).into_response())
            }
            Err(error) => Err(Problem::unprocessable(format!("the bytes cannot be shown: {error}"))),
        }
    })
    .await
}

/// Sends the frames of dead letters again.
#[utoipa::path(post, operation_id = "dead_letters_replay", path = "/dead-letters/replay", tag = "dead letters", request_body = Chosen,
    responses((status = 200, body = ActionView), Problems))]
pub async fn replay(
    State(app): State<Arc<App>>,
    _: Administrator,
    Body(chosen): Body<Chosen>,
) -> Result<Json<ActionView>, Problem> {
    act(&app, chosen, LetterAction::Replayed, |app, filter| {
        Selection::to_replay(&app.config, filter, false)?.apply()
    })
    .await
}

/// Marks dead letters as not needed any more.
#[utoipa::path(post, operation_id = "dead_letters_drop_letters", path = "/dead-letters/drop", tag = "dead letters", request_body = Chosen,
    responses((status = 200, body = ActionView), Problems))]
pub async fn drop_letters(
    State(app): State<Arc<App>>,
    _: Administrator,
    Body(chosen): Body<Chosen>,
) -> Result<Json<ActionView>, Problem> {
    act(&app, chosen, LetterAction::Dropped, |app, filter| Selection::to_drop(&app.config, filter)?.apply())
        .await
}

async fn act(
    app: &Arc<App>,
    chosen: Chosen,
    action: LetterAction,
    apply: fn(&App, &Filter) -> Result<ActionReport, DeadLetterError>,
) -> Result<Json<ActionView>, Problem> {
    if chosen.all != chosen.frames.is_empty() || chosen.frames.len() > MAX_PLACES {
        let detail = format!("give `frames` (1 to {MAX_PLACES} places), or `all`");
        return Err(Problem::unprocessable(detail));
    }
    let frames: Vec<dead_letter::Place> =
        chosen.frames.into_iter().map(TryInto::try_into).collect::<Result<_, Problem>>()?;
    // Without frames, all are meant.
    let filter = Filter::of_frames(frames);
    app.block(move |app| {
        let is_meant =
            |letter: &&LetterEntry| filter.frames.is_empty() || filter.frames.contains(&letter.frame);
        let open: Vec<LetterEntry> = app.live.read().dead_letters.open().filter(is_meant).cloned().collect();
        let ActionReport { frames, marked, failed, .. } = apply(app, &filter)?;
        // The marks are in the topic; whoever asks now must not have to wait until they are read.
        let mut state = app.live.write();
        for letter in open.iter().filter(|letter| !failed.contains_key(&letter.frame)) {
            state.dead_letters.mark(letter.place, action);
        }
        drop(state);
        let failed = failed.into_iter().map(|(frame, reason)| FailedReplay { frame: frame.into(), reason });
        Ok(Json(ActionView { frames, marked, failed: failed.collect() }))
    })
    .await
}
