//! Frames: sending one, its result, its picture.

use crate::access::{Administrator, Viewer};
use crate::app::App;
use crate::input::{Parameters, PathParts, Picture};
use crate::live::{Live, Who};
use crate::problem::{Problem, Problems};
use crate::views::{Binary, Bounds, Names as _, Place, ResultView};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everyframe_config::Polygon;
use everyframe_kafka::{Record, RecordReader};
use everyframe_notify::CallbackError;
use everyframe_types::event::{CloudEvent, FaceResult, ResultData};
use everyframe_types::frame::SourceKind;
use everyframe_types::id;
use everyframe_types::machine::unix_ms;
use everyframe_types::record::{CALLBACK, CAPTURED_AT, SOURCE};
use everyframe_vision::{DrawnBox, check_header};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};
use utoipa::{IntoParams, ToSchema};

/// How long the brokers may take to acknowledge a frame.
const ACKNOWLEDGED: std::time::Duration = std::time::Duration::from_secs(30);
/// Colours of boxes, as in the dashboard: a known person, a stranger, anybody else.
const KNOWN: [u8; 3] = [0x2e, 0xa0, 0x6b];
const STRANGER: [u8; 3] = [0xe0, 0x8a, 0x1e];
const OTHER: [u8; 3] = [0x8b, 0x94, 0x9e];

/// A frame that is not processed yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct Waiting {
    /// Always `waiting`.
    state: String,
}

/// A frame that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct SentFrame {
    /// Its place in the frames topic.
    position: Place,
    /// The address of its result.
    result: String,
}

/// How a picture is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PictureQuery {
    /// Draw the boxes of the faces.
    #[serde(default)]
    boxes: bool,
    /// The longer side, pixels, 16 to 8192; full size if not given.
    #[param(minimum = 16, maximum = 8192)]
    width: Option<u32>,
}

/// Who wants to be told of a frame.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SendQuery {
    /// The address to which the CloudEvent of the frame's result or dead letter is sent by POST, at least once. The configuration must
    /// allow it by `[[web.callbacks]]`. At most 2048 bytes.
    callback: Option<String>,
}

impl From<CallbackError> for Problem {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::NotAllowed => Self::unprocessable(format!("`callback`: {error}")),
            CallbackError::NotReady => Self::unavailable(error.to_string()),
        }
    }
}

/// Shows what is known of a processed frame. 202: it is not processed yet.
#[utoipa::path(get, operation_id = "frames_result", path = "/results/{partition}/{offset}", tag = "frames",
    params(("partition" = i32, Path, description = "The partition of the frames topic"),
           ("offset" = i64, Path, description = "The offset")),
    responses((status = 200, body = ResultView), (status = 202, body = Waiting), Problems))]
pub async fn result(
    State(app): State<Arc<App>>,
    _: Viewer,
    PathParts((partition, offset)): PathParts<(i32, i64)>,
) -> Result<Response, Problem> {
    let frame = Place { partition, offset };
    app.block(move |app| match read_result(app, frame)? {
        Some(result) => {
            let state = app.live.read();
            Ok(Json(ResultView::new(&result, &state.people)).into_response())
        }
        None if is_waiting(&app.live, frame) => {
            Ok((StatusCode::ACCEPTED, Json(Waiting { state: "waiting".into() })).into_response())
        }
        None => Err(Problem::not_found(
            "no result of this frame is known: it is older than the history, was parked, or never was",
        )),
    })
    .await
}

/// Reads the result of a frame; none if it is not known. Blocks.
fn read_result(app: &App, frame: Place) -> Result<Option<ResultData>, Problem> {
    let Some(place) = app.live.read().ledger.result_of(frame) else { return Ok(None) };
    let mut reader = app.results.lock().unwrap_or_else(PoisonError::into_inner);
    let reader = match &mut *reader {
        Some(reader) => reader,
        none => none.insert(RecordReader::new(&app.config.kafka)?),
    };
    let record = reader.read(&app.config.topics.results, place.partition, place.offset)?;
    let event =
        record.and_then(|record| serde_json::from_slice::<CloudEvent<ResultData>>(&record.value).ok());
    Ok(event.map(|event| event.data))
}

/// True if the frame is in the topic, or about to be, and not processed.
fn is_waiting(live: &Live, frame: Place) -> bool {
    let state = live.read();
    if state.ledger.is_accounted(frame) {
        return false;
    }
    let counts = state.ledger.counts();
    let partition = counts.partitions.iter().find(|it| it.partition == frame.partition);
    let Some(partition) = partition else { return false };
    let offset = u64::try_from(frame.offset).unwrap_or(u64::MAX);
    // The ends are looked at every two seconds; a frame that was sent since then is just after them.
    // A result that was committed just now may still be on its way to us.
    let is_due = !state.is_complete
        || partition.committed.is_none_or(|committed| offset.saturating_add(RECENT) >= committed);
    is_due && offset >= partition.oldest && offset <= partition.next.saturating_add(RECENT)
}

/// Frames that may have come, or been processed, since the last look at the end of a partition.
const RECENT: u64 = 1000;

/// Shows the picture of a frame, with masked parts painted over.
#[utoipa::path(get, operation_id = "frames_picture", path = "/frames/{partition}/{offset}/picture", tag = "frames",
    params(("partition" = i32, Path, description = "The partition of the frames topic"),
           ("offset" = i64, Path, description = "The offset"), PictureQuery),
    responses((status = 200, content_type = "image/jpeg", body = Binary), Problems))]
pub async fn picture(
    State(app): State<Arc<App>>,
    _: Viewer,
    PathParts((partition, offset)): PathParts<(i32, i64)>,
    Parameters(query): Parameters<PictureQuery>,
) -> Result<Response, Problem> {
    if query.width.is_some_and(|width| !(16..=8192).contains(&width)) {
        return Err(Problem::bad_request("`width` must be from 16 to 8192"));
    }
    let place = Place { partition, offset };
    app.block(move |app| {
        let boxes = if query.boxes { boxes(app, place)? } else { Vec::new() };
        let hidden = hidden_faces(app, place)?;
        let mut response = jpeg(app.pictures.picture(place, query.width, &boxes, &hidden)?.to_vec());
        if query.boxes || app.config.privacy.hide_without_consent {
            // The frame may not be processed yet.
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(response)
    })
    .await
}

/// The faces of a frame that must not be shown, because their consent is not recorded.
fn hidden_faces(app: &App, place: Place) -> Result<Vec<Polygon>, Problem> {
    if !app.config.privacy.hide_without_consent {
        return Ok(Vec::new());
    }
    let result = read_result(app, place)?.ok_or_else(|| {
        Problem::not_found(
            "the faces of this frame are not known yet or any more, and [privacy] hide_without_consent is set",
        )
    })?;
    let size = (result.width, result.height);
    let state = app.live.read();
    let may_be_shown = |face: &FaceResult| {
        let person = match Who::of(face) {
            Some(Who::Known(person)) => Some(person),
            Some(Who::Stranger(stranger)) => state.people.person_of(&stranger),
            None => None,
        };
        person.is_some_and(|person| state.people.has_consent(&person))
    };
    let hidden = result.faces.iter().filter(|face| !may_be_shown(face));
    Ok(hidden.map(|face| Polygon::of_box(&face.bounds, size)).collect())
}

fn boxes(app: &App, place: Place) -> Result<Vec<DrawnBox>, Problem> {
    let result = read_result(app, place)?;
    let colour = |who: Option<Who>| match who {
        Some(Who::Known(_)) => KNOWN,
        Some(Who::Stranger(_)) => STRANGER,
        None => OTHER,
    };
    let faces = result.into_iter().flat_map(|result| result.faces);
    Ok(faces.map(|face| DrawnBox { bounds: face.bounds, colour: colour(Who::of(&face)) }).collect())
}

/// Shows the part of a frame around a face.
#[utoipa::path(get, operation_id = "frames_crop", path = "/frames/{partition}/{offset}/crop", tag = "frames",
    params(("partition" = i32, Path, description = "The partition of the frames topic"),
           ("offset" = i64, Path, description = "The offset"), Bounds),
    responses((status = 200, content_type = "image/jpeg", body = Binary), Problems))]
pub async fn crop(
    State(app): State<Arc<App>>,
    _: Viewer,
    PathParts((partition, offset)): PathParts<(i32, i64)>,
    Parameters(bounds): Parameters<Bounds>,
) -> Result<Response, Problem> {
    let place = Place { partition, offset };
    app.block(move |app| {
        let hidden = hidden_faces(app, place)?;
        Ok(jpeg(app.pictures.crop(place, &bounds.into(), &hidden)?))
    })
    .await
}

/// A picture that never changes, since a record never does. Not for other people's caches.
pub(super) fn jpeg(bytes: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=600")];
    (headers, bytes).into_response()
}

/// Puts a picture into the frames topic as a frame of a camera. The result comes later, at the address in the answer, and is sent to
/// `callback`, if it is given. Neither is lost if this process, or the host that processes the frame, ends meanwhile.
#[utoipa::path(post, operation_id = "frames_send", path = "/frames/{camera}", tag = "frames",
    params(("camera" = String, Path, description = "The camera's id"), SendQuery),
    request_body(content((Binary = "image/jpeg"), (Binary = "image/png"), (Binary = "image/webp"))),
    responses((status = 202, body = SentFrame), Problems))]
pub async fn send(
    State(app): State<Arc<App>>,
    _: Administrator,
    PathParts(camera): PathParts<String>,
    Parameters(query): Parameters<SendQuery>,
    Picture(picture): Picture,
) -> Result<(StatusCode, Json<SentFrame>), Problem> {
    let camera = id::parse(&camera, id::MAX_BYTES)
        .map_err(|error| Problem::unprocessable(format!("the camera's id {error}")))?;
    check_header(&picture).map_err(|error| Problem::unprocessable(error.to_string()))?;
    query.callback.iter().try_for_each(|url| app.callbacks.check(url))?;
    app.block(move |app| {
        let captured_at = unix_ms().to_string();
        let mut headers = vec![
            (CAPTURED_AT, captured_at.as_bytes()),
            // Pictures from the API are no stream: the next one may show anybody.
            (SOURCE, SourceKind::Pictures.as_str().as_bytes()),
        ];
        headers.extend(query.callback.as_ref().map(|url| (CALLBACK, url.as_bytes())));
        let record = Record {
            topic: &app.config.topics.frames,
            key: Some(camera.as_bytes()),
            value: Some(&picture),
            headers: &headers,
            ..Record::default()
        };
        let (partition, offset) = app.producer()?.send_and_locate(record, ACKNOWLEDGED)?;
        let result = format!("/api/v1/results/{partition}/{offset}");
        Ok((StatusCode::ACCEPTED, Json(SentFrame { position: Place { partition, offset }, result })))
    })
    .await
}
