//! The samples of people: enrolment, and faces that are not a person's.

use super::people::{Enrolled, append_to_trail, checked_name, not_enrolled, view};
use crate::access::{Enroller, Viewer};
use crate::app::App;
use crate::input::{Body, Parameters, PathParts, Picture};
use crate::pictures::StoredFrame;
use crate::problem::{Problem, Problems};
use crate::views::{Binary, Bounds, Names as _, Place, ReceiptView};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everyframe_gallery::{
    GalleryWriter, OddSample, STRANGER_PREFIX, Sample, Terms, erase_sample, find_similar_id,
    parse_new_person_id, set_terms,
};
use everyframe_pipeline::enrolment::{check_terms, find_resemblance};
use everyframe_pipeline::erasure::erase_person;
use everyframe_privacy::Action;
use everyframe_types::face::Rect;
use everyframe_types::id::printable;
use everyframe_types::machine::unix_ms;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The least quality of a face for enrolment, 0 to 1; as `everyframe enrol` uses.
const MIN_QUALITY: f32 = 0.4;

/// A new person.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewPerson {
    /// The name to show.
    name: String,
    /// The id; made of the name if not given.
    id: Option<String>,
    /// The stranger who is this person.
    stranger: String,
    /// Enrol the person although the face resembles another person's.
    #[serde(default)]
    force: bool,
    /// Where the person's consent is recorded, for example the number of a form.
    #[serde(default)]
    consent: Option<String>,
    /// The purposes of the enrolment, by the names in the configuration.
    #[serde(default)]
    purposes: Vec<String>,
    /// When the enrolment ends.
    #[serde(default)]
    expires_at: Option<i64>,
}

/// How a sample is enrolled.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SampleQuery {
    /// The name to show, for a new person; the id if not given.
    name: Option<String>,
    /// Enrol the picture although the face resembles another person's.
    #[serde(default)]
    force: bool,
    /// Where the person's consent is recorded, for example the number of a form.
    consent: Option<String>,
    /// The purpose of the enrolment, by its name in the configuration; several with commas between them.
    purposes: Option<String>,
    /// When the enrolment ends.
    #[serde(rename = "expiresAt")]
    expires_at: Option<i64>,
}

/// A face of a frame.
#[derive(Deserialize, ToSchema)]
pub struct FaceOfFrame {
    /// The frame's place in the frames topic.
    frame: Place,
    /// Where the face is.
    face: Bounds,
}

/// Shows the picture of a sample.
#[utoipa::path(get, operation_id = "people_sample_picture", path = "/people/{id}/samples/{sample}", tag = "people",
    params(("id" = String, Path, description = "The person's id"), ("sample" = String, Path, description = "The sample's id")),
    responses((status = 200, content_type = "image/jpeg", body = Binary), Problems))]
pub async fn sample_picture(
    State(app): State<Arc<App>>,
    _: Viewer,
    PathParts((id, sample)): PathParts<(String, String)>,
) -> Result<Response, Problem> {
    let state = app.live.read();
    let entry = state
        .people
        .get(&id)
        .and_then(|person| person.samples.get(&sample).or_else(|| person.negatives.get(&sample)));
    let is_hidden = app.config.privacy.hide_without_consent && !state.people.has_consent(&id);
    let entry = entry.filter(|entry| !entry.thumbnail.is_empty() && !is_hidden);
    let entry = entry.ok_or_else(|| Problem::not_found("this sample has no picture, or does not exist"))?;
    Ok(thumbnail(entry.thumbnail.to_vec()))
}

/// A picture that another enrolment may replace.
fn thumbnail(bytes: Vec<u8>) -> Response {
    let mut response = super::frames::jpeg(bytes);
    let value = axum::http::HeaderValue::from_static("private, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

/// Gives a stranger a name: enrols the stranger's best pictures.
#[utoipa::path(post, operation_id = "people_create", path = "/people", tag = "people", request_body = NewPerson,
    responses((status = 201, body = Enrolled), Problems))]
pub async fn create(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    Body(new): Body<NewPerson>,
) -> Result<(StatusCode, Json<Enrolled>), Problem> {
    let name = checked_name(&new.name)?;
    let id = match &new.id {
        Some(id) => parse_new_person_id(id)?,
        None => parse_new_person_id(&id_of_name(&name))?,
    };
    app.enrol(move |app| {
        let best = {
            let state = app.live.read();
            // Two people may have one name, but not one id.
            if new.id.is_none() && state.people.get(&id).is_some() {
                let detail = format!(
                    "the id `{id}` is taken: give it as `id` if this is the same person, or another `id` if they are two"
                );
                return Err(Problem::new(StatusCode::CONFLICT, detail));
            }
            let stranger = state.sightings.stranger(&new.stranger);
            let missing = || Problem::not_found("no such stranger is known since the history began");
            stranger.ok_or_else(missing)?.best.clone()
        };
        let pictures = best.into_iter().map(|best| {
            let frame = app.pictures.frame(best.place)?;
            Ok(PictureOfPerson::of_frame(best.place, &frame, best.bounds))
        });
        let (consent, purposes, expires_at) = (new.consent, new.purposes, new.expires_at);
        let enrolment = Enrolment {
            id: &id,
            name: &name,
            stranger: Some(new.stranger.clone()),
            force: new.force,
            actor: &who.name,
            terms: Terms { consent, purposes, expires_at },
        };
        enrolment.enrol(app, pictures).map(|enrolled| (StatusCode::CREATED, Json(enrolled)))
    })
    .await
}

/// Enrols a picture of a person, or a face of a frame (as JSON). A person who is not enrolled yet is created.
#[utoipa::path(post, operation_id = "people_add_sample", path = "/people/{id}/samples", tag = "people",
    params(("id" = String, Path, description = "The person's id, 1 to 128 bytes without `/`"), SampleQuery),
    request_body(content((Binary = "image/jpeg"), (Binary = "image/png"), (Binary = "image/webp"),
                         (FaceOfFrame = "application/json"))),
    responses((status = 201, body = Enrolled), Problems))]
pub async fn add_sample(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
    Parameters(query): Parameters<SampleQuery>,
    headers: HeaderMap,
    Picture(body): Picture,
) -> Result<(StatusCode, Json<Enrolled>), Problem> {
    let id = parse_new_person_id(&id)?;
    let is_json = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let is_json = is_json.is_some_and(|kind| kind.starts_with("application/json"));
    let given_name = query.name.as_deref().map(checked_name).transpose()?;
    app.enrol(move |app| {
        let known = app.live.read().people.name(&id);
        if let (Some(known), Some(given)) = (&known, &given_name)
            && known != given
        {
            let detail =
                format!("`{}` is enrolled as {}; leave out `name`", printable(&id), printable(known));
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let name = given_name.or(known).unwrap_or_else(|| id.clone());
        let picture = if is_json {
            let FaceOfFrame { frame, face } =
                serde_json::from_slice(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
            PictureOfPerson::of_frame(frame, &*app.pictures.frame(frame)?, face.into())
        } else {
            PictureOfPerson { bytes: body.to_vec(), source: "uploaded".into(), camera: None, chosen: None }
        };
        let purposes = query.purposes.as_deref().unwrap_or_default().split(',').map(str::trim);
        let terms = Terms {
            consent: query.consent,
            purposes: purposes.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            expires_at: query.expires_at,
        };
        let enrolment =
            Enrolment { id: &id, name: &name, stranger: None, force: query.force, actor: &who.name, terms };
        let enrolled = enrolment.enrol(app, std::iter::once(Ok(picture)))?;
        Ok((StatusCode::CREATED, Json(enrolled)))
    })
    .await
}

/// Says that a face of a frame is not this person's, although it was taken for it. From then on, a face that is at least as similar
/// to this one as to the person's samples is not offered as this person, to any matching policy.
#[utoipa::path(post, operation_id = "people_add_negative_sample", path = "/people/{id}/negative-samples", tag = "people",
    params(("id" = String, Path, description = "The person's id")), request_body = FaceOfFrame,
    responses((status = 204), Problems))]
pub async fn add_negative_sample(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts(id): PathParts<String>,
    Body(FaceOfFrame { frame, face }): Body<FaceOfFrame>,
) -> Result<StatusCode, Problem> {
    app.enrol(move |app| {
        let name = app.live.read().people.name(&id).ok_or_else(|| not_enrolled(&id))?;
        let picture = PictureOfPerson::of_frame(frame, &*app.pictures.frame(frame)?, face.into());
        let masks = app.pictures.masks_of(picture.camera.as_deref().unwrap_or_default());
        // A poor picture is good enough to say who it is not.
        let (face, model, _) =
            app.recogniser.examine(&picture.bytes, 0.0, picture.chosen.as_ref(), &masks)?;
        let sample = Sample {
            person: id.clone(),
            name,
            model,
            embedding: face.embedding,
            quality: face.quality,
            source: picture.source,
            enrolled_at: unix_ms(),
            thumbnail: face.thumbnail,
            stranger: None,
            negative: true,
            terms: app.live.read().people.terms(&id).unwrap_or_default(),
        };
        // The same picture may be one of the person's samples.
        let key = format!("not-{}", face.sample);
        append_to_trail(app, &who.name, Action::Changed, &id, "a face that is not this person's".into())?;
        GalleryWriter::open(&app.config)?.store(app.producer()?, &key, &sample)?;
        app.live.write().people.apply(&format!("{id}/{key}"), Some(&sample));
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// A picture to be enrolled.
struct PictureOfPerson {
    bytes: Vec<u8>,
    source: String,
    /// The camera, whose masks hold; none for a picture that was uploaded.
    camera: Option<String>,
    /// Where the face is; none if the picture shows one.
    chosen: Option<Rect>,
}

impl PictureOfPerson {
    fn of_frame(place: Place, frame: &StoredFrame, face: Rect) -> Self {
        Self {
            bytes: frame.bytes.clone(),
            source: format!("frame {}/{}", place.partition, place.offset),
            camera: Some(frame.camera.clone()),
            chosen: Some(face),
        }
    }
}

/// Who is to be enrolled.
struct Enrolment<'a> {
    id: &'a str,
    name: &'a str,
    stranger: Option<String>,
    force: bool,
    /// Who enrols the person.
    actor: &'a str,
    /// What the person agrees to; what is not said here stays as it was.
    terms: Terms,
}

impl Enrolment<'_> {
    /// Enrols the pictures that can be used, best first. All are looked at before one is stored, so that somebody else's face is
    /// refused, however many other pictures there are.
    fn enrol(
        mut self,
        app: &App,
        pictures: impl Iterator<Item = Result<PictureOfPerson, Problem>>,
    ) -> Result<Enrolled, Problem> {
        self.refuse_similar_id(app)?;
        let before = app.live.read().people.terms(self.id);
        self.terms = self.terms.or(before.as_ref().unwrap_or(&Terms::default()));
        check_terms(&app.config, &self.terms).map_err(|error| Problem::unprocessable(error.to_string()))?;
        let (mut samples, mut warnings) = (Vec::new(), Vec::new());
        let mut refused = Problem::unprocessable("no picture of this stranger is kept");
        for picture in pictures {
            match picture.and_then(|picture| self.examine(app, picture)) {
                Ok((id, sample, remarks)) => {
                    samples.push((id, sample));
                    warnings.extend(remarks);
                }
                Err(problem) if problem.status == StatusCode::CONFLICT.as_u16() => return Err(problem),
                Err(problem) => refused = problem,
            }
        }
        let quality = samples.first().map(|(_, sample)| sample.quality).ok_or(refused)?;
        let consent = self.terms.consent.as_deref().unwrap_or("none");
        let detail = format!("pictures: {}, consent: {}", samples.len(), printable(consent));
        append_to_trail(app, self.actor, Action::Enrolled, self.id, detail)?;
        if before.is_some_and(|before| before != self.terms) {
            set_terms(&app.config, app.producer()?, self.id, &self.terms)?;
        }
        let mut writer = GalleryWriter::open(&app.config)?;
        for (id, sample) in &samples {
            writer.store(app.producer()?, id, sample)?;
            // So that the answer, and the next request, know the person. The topic brings the same again.
            app.live.write().people.apply(&format!("{}/{id}", self.id), Some(sample));
        }
        let state = app.live.read();
        let person =
            view(&state, self.id).ok_or_else(|| Problem::internal("the person was erased meanwhile"))?;
        Ok(Enrolled { person, quality, warnings })
    }

    /// Two ids that look alike are confused by people.
    fn refuse_similar_id(&self, app: &App) -> Result<(), Problem> {
        let state = app.live.read();
        if self.force || state.people.get(self.id).is_some() {
            return Ok(());
        }
        let Some(other) = find_similar_id(state.people.iter().map(|(id, _)| id), self.id) else {
            return Ok(());
        };
        let detail = format!(
            "the id `{}` looks like `{}`, who is enrolled: use that id if it is the same person; `force` enrols the picture anyway",
            printable(self.id),
            printable(other)
        );
        Err(Problem::new(StatusCode::CONFLICT, detail))
    }

    /// The id of the sample, the sample, and warnings.
    fn examine(&self, app: &App, picture: PictureOfPerson) -> Result<(String, Sample, Vec<String>), Problem> {
        let PictureOfPerson { bytes, source, camera, chosen } = picture;
        let masks = camera.map(|camera| app.pictures.masks_of(&camera)).unwrap_or_default();
        let (face, model, index) = app.recogniser.examine(&bytes, MIN_QUALITY, chosen.as_ref(), &masks)?;
        let resemblance = find_resemblance(&index, &face.embedding, self.id);
        if let Some(resemblance) = resemblance.as_ref().filter(|_| !self.force) {
            let detail = format!(
                "{resemblance}: use that id if it is the same person; `force` enrols the picture anyway"
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let odd = OddSample::find(&index, self.id, &face.embedding, &source);
        let sample = Sample {
            person: self.id.to_owned(),
            name: self.name.to_owned(),
            model,
            embedding: face.embedding,
            quality: face.quality,
            source,
            enrolled_at: unix_ms(),
            thumbnail: face.thumbnail,
            stranger: self.stranger.clone(),
            negative: false,
            terms: self.terms.clone(),
        };
        let warnings =
            [resemblance.map(|resemblance| resemblance.to_string()), odd.map(|odd| odd.to_string())];
        Ok((face.sample, sample, warnings.into_iter().flatten().collect()))
    }
}

/// An id made of a name: `Ann Lee` becomes `ann-lee`, and `Stranger 1` becomes `person-stranger-1`, because `stranger-1` would be the
/// id of a stranger.
fn id_of_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
    if id.starts_with(STRANGER_PREFIX) {
        id.insert_str(0, "person-");
    }
    id.chars().take(60).collect()
}

/// Erases one sample of a person. With the last one, the person is erased, and the answer is the receipt.
#[utoipa::path(delete, operation_id = "people_remove_sample", path = "/people/{id}/samples/{sample}", tag = "people",
    params(("id" = String, Path, description = "The person's id"), ("sample" = String, Path, description = "The sample's id")),
    responses((status = 200, body = ReceiptView), (status = 204), Problems))]
pub async fn remove_sample(
    State(app): State<Arc<App>>,
    Enroller(who): Enroller,
    PathParts((id, sample)): PathParts<(String, String)>,
) -> Result<Response, Problem> {
    app.change_people(move |app| {
        let (key, is_last) = {
            let state = app.live.read();
            let key = state.people.key_of(&id, &sample).map(str::to_owned);
            let samples = state.people.get(&id).map(|person| &person.samples);
            (key, samples.is_some_and(|samples| samples.len() == 1 && samples.contains_key(&sample)))
        };
        let key = key.ok_or_else(|| Problem::not_found("no such sample is enrolled"))?;
        if is_last && let Some(receipt) = erase_person(&app.config, &id, &who.name, Action::Erased)? {
            // With the negative ones.
            return Ok(Json(ReceiptView(receipt)).into_response());
        }
        append_to_trail(app, &who.name, Action::Erased, &id, format!("one sample, {}", printable(&sample)))?;
        erase_sample(app.producer()?, &app.config.topics.gallery, &key)?;
        // So that the next request knows which one is the last.
        app.live.write().people.apply(&key, None);
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_of_a_name() {
        assert_eq!(id_of_name("Ann Lee"), "ann-lee");
        assert_eq!(id_of_name(" José  Núñez/Ortega "), "josé-núñez-ortega");
        assert!(parse_new_person_id(&id_of_name("///")).is_err());
        assert_eq!(parse_new_person_id(&id_of_name("Stranger 9c4311")).unwrap(), "person-stranger-9c4311");
    }
}
