//! Enrols people from pictures.

use everyframe_config::{Config, Polygon, VisionSettings};
use everyframe_gallery::{
    GalleryError, GalleryWriter, Index, NEARLY_THE_SAME, OddSample, Sample, Terms, find_odd_samples,
    find_similar_id, read_samples, set_terms, terms_by_person,
};
use everyframe_kafka::{BrokerError, Producer};
use everyframe_types::face::{Candidate, Detection, Embedding, Person, Rect};
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_types::id::printable;
use everyframe_types::machine::unix_ms;
use everyframe_vision::{
    EnrolmentView, HiddenParts, PictureError, PictureRenderer, Quality, Rotation, Vision, VisionError,
    Weakness, Worker,
};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::Path;

/// Why pictures cannot be enrolled at all.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// The models cannot be loaded.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The gallery cannot be read or written.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The brokers do not answer.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The person must not be enrolled on these terms.
    #[error(transparent)]
    Terms(#[from] TermsError),
}

/// Why nobody is enrolled on these terms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// `[privacy] require_consent` is set.
    #[error(
        "no consent is given, and [privacy] require_consent asks for it: say where the consent is recorded"
    )]
    NoConsent,
    /// A purpose is not configured.
    #[error("there is no purpose `{0}`; `[[privacy.purposes]]` lists them")]
    UnknownPurpose(String),
    /// The enrolment would end before it begins.
    #[error("the enrolment would have ended already; give a later date")]
    Expired,
}

/// Checks terms before a person is enrolled on them.
///
/// # Errors
///
/// The person must not be enrolled: show the message, and ask for other terms.
pub fn check_terms(config: &Config, terms: &Terms) -> Result<(), TermsError> {
    let is_known = |name: &String| config.privacy.purposes.iter().any(|purpose| purpose.name == *name);
    if config.privacy.require_consent && terms.consent.is_none() {
        return Err(TermsError::NoConsent);
    }
    if let Some(unknown) = terms.purposes.iter().find(|name| !is_known(name)) {
        return Err(TermsError::UnknownPurpose(unknown.clone()));
    }
    if terms.have_expired(unix_ms()) {
        return Err(TermsError::Expired);
    }
    Ok(())
}

/// Why one picture is refused.
#[derive(Debug, thiserror::Error)]
pub enum RefusedPicture {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] std::io::Error),
    /// The file is not a whole picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The face is on its side or upside down.
    #[error("the face is not upright; turn the picture {0}")]
    NotUpright(Rotation),
    /// Nobody is on it.
    #[error("no face found; use a picture that shows the face from the front")]
    NoFace,
    /// Several people are on it.
    #[error("{0} faces found; cut the picture so that it shows one")]
    SeveralFaces(usize),
    /// The face cannot be recognised well.
    #[error("the face is poor (quality {quality:.2}, at least {wanted:.2} wanted): {fault}")]
    Poor {
        /// Its quality, 0 to 1.
        quality: f32,
        /// The least that is taken.
        wanted: f32,
        /// What is most wrong.
        fault: Fault,
    },
    /// The embedder gives no direction for the face.
    #[error("the face gives no embedding; use another picture")]
    NoEmbedding,
}

/// What is most wrong with a poor face, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// The lowest component of the face's quality.
    pub weakness: Weakness,
    /// The height of the face, pixels.
    pub height: f32,
    /// The height at which the face would be taken if nothing else changed, pixels.
    pub wanted_height: f32,
}

impl Fault {
    /// The fault of a face that is `height` pixels high, for an enrolment that wants at least the quality `wanted`, 0 to 1.
    fn new(quality: &Quality, height: f32, wanted: f32) -> Self {
        // A larger face than one of size 1 gains nothing.
        let size = (wanted * quality.size / quality.value()).min(1.0);
        Self { weakness: quality.weakness(), height, wanted_height: height * size / quality.size }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weakness, height, wanted_height } = self;
        match weakness {
            Weakness::Small => write!(
                f,
                "it is {height:.0} pixels high, {:.0} wanted; use a larger picture of it",
                wanted_height.ceil()
            ),
            Weakness::Covered => f.write_str("it is not clear; use a picture in which nothing covers it"),
            Weakness::TurnedAway => f.write_str("it is turned away; use a picture from the front"),
            Weakness::CutOff => {
                f.write_str("the edge of the picture cuts it off; use a picture of all of it")
            }
            Weakness::Blurred => f.write_str("it is blurred; use a sharper picture"),
            Weakness::Dark => f.write_str("it is too dark; use a picture with more light on it"),
            Weakness::Bright => f.write_str("it is too bright; use a picture with less light on it"),
        }
    }
}

/// Enrols one person.
pub struct Enroller {
    config: Config,
    examiner: Examiner,
    producer: Producer,
    writer: GalleryWriter,
    /// What the person agrees to.
    terms: Terms,
    model: String,
    /// The people who are enrolled under other ids.
    others: Index,
    similar_id: Option<String>,
    /// The samples of the person: those that were enrolled before, and the new ones.
    own: Vec<Sample>,
}

/// Finds and embeds the faces of enrolment pictures.
pub struct Examiner {
    worker: Worker,
    renderer: PictureRenderer,
}

/// A face that can be enrolled.
pub struct EnrolmentFace {
    /// Its quality, 0 to 1.
    pub quality: f32,
    /// The template.
    pub embedding: Embedding,
    /// A small JPEG of the face.
    pub thumbnail: Vec<u8>,
    /// The sample's id: the first bytes of the picture's SHA-256, hexadecimal.
    pub sample: String,
}

/// The side of a sample's thumbnail, pixels.
const THUMBNAIL_SIDE: u32 = 160;

impl Examiner {
    /// An examiner with a worker of its own.
    ///
    /// # Errors
    ///
    /// ONNX Runtime cannot create another session.
    pub fn new(vision: &Vision, settings: &VisionSettings) -> Result<Self, VisionError> {
        Ok(Self { worker: vision.worker()?, renderer: PictureRenderer::new(settings) })
    }

    /// Finds and embeds the face of a picture. `chosen` is the box of the face if the picture may show several people; without
    /// it, exactly one face is wanted. Nobody is enrolled from a masked part.
    ///
    /// # Errors
    ///
    /// The picture is not fit: the error says what to change.
    pub fn examine(
        &mut self,
        bytes: &[u8],
        min_quality: f32,
        chosen: Option<&Rect>,
        masks: &[&Polygon],
    ) -> Result<EnrolmentFace, RefusedPicture> {
        let EnrolmentView { detections, rotation } = self.worker.detect_for_enrolment(bytes, masks)?;
        if let Some(rotation) = rotation.filter(|_| chosen.is_none()) {
            return Err(RefusedPicture::NotUpright(rotation));
        }
        let faces = detections.detections.as_slice();
        let place = match (chosen, faces) {
            (Some(bounds), _) => find_face(faces, bounds).ok_or(RefusedPicture::NoFace)?,
            (None, [_]) => 0,
            (None, []) => return Err(RefusedPicture::NoFace),
            (None, _) => return Err(RefusedPicture::SeveralFaces(faces.len())),
        };
        let face = &faces[place];
        let measured = detections.qualities().get(place).copied().ok_or(RefusedPicture::NoFace)?;
        let quality = measured.value();
        if quality < min_quality {
            let fault = Fault::new(&measured, face.bounds.height, min_quality);
            return Err(RefusedPicture::Poor { quality, wanted: min_quality, fault });
        }
        let embeddings = self.worker.embed(bytes, masks, &detections, std::slice::from_ref(face))?;
        let embedding = embeddings.into_iter().next().flatten().ok_or(RefusedPicture::NoEmbedding)?;
        let hidden = HiddenParts { painted: masks, blurred: &[] };
        let thumbnail = self.renderer.crop(bytes, hidden, &face.bounds, THUMBNAIL_SIDE)?;
        Ok(EnrolmentFace { quality, embedding, thumbnail, sample: sample_id(bytes, chosen) })
    }
}

/// The place of the face that overlaps most with a box; none if no face overlaps with it by half.
fn find_face(faces: &[Detection], bounds: &Rect) -> Option<usize> {
    let overlap = |place: &usize| faces[*place].bounds.iou(bounds);
    let best = (0..faces.len()).max_by(|a, b| overlap(a).total_cmp(&overlap(b)))?;
    (overlap(&best) >= 0.5).then_some(best)
}

/// The first bytes of the picture's SHA-256, hexadecimal; of several faces in a picture, each has its own.
fn sample_id(bytes: &[u8], chosen: Option<&Rect>) -> String {
    let mut hash = Sha256::new_with_prefix(bytes);
    if let Some(Rect { x, y, width, height }) = chosen {
        [x, y, width, height].iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    hexadecimal(&hash.finalize()[..8])
}

/// An enrolled person whom a face resembles.
#[derive(Debug, Clone, PartialEq)]
pub struct Resemblance {
    /// The person.
    pub person: Person,
    /// Cosine similarity, -1 to 1.
    pub similarity: f32,
}

impl fmt::Display for Resemblance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { person: Person { id, name, .. }, similarity } = self;
        write!(f, "the face resembles `{}`", printable(id))?;
        if name != id {
            write!(f, " ({})", printable(name))?;
        }
        write!(f, ", who is enrolled, similarity {similarity:.2}")
    }
}

impl Enroller {
    /// Loads the models and reads the gallery, to enrol the person of this id. Where `terms` say nothing, those hold that the person
    /// was enrolled on before.
    ///
    /// # Errors
    ///
    /// The models cannot be loaded, the brokers do not answer, or nobody may be enrolled on these terms.
    pub fn open(config: &Config, cache: &Path, person: &str, terms: Terms) -> Result<Self, EnrolmentError> {
        let samples = read_samples(config)?;
        let before = terms_by_person(samples.values()).remove(person).unwrap_or_default();
        let terms = terms.or(&before);
        check_terms(config, &terms)?;
        let vision = Vision::load(&config.vision, cache)?;
        let model = vision.models().embedder.sha256.clone();
        let similar_id = find_similar_id(samples.values().map(|sample| sample.person.as_str()), person);
        let similar_id = similar_id.map(printable);
        let others = Index::new(samples.iter().filter(|(_, sample)| sample.person != person), &model);
        let own = samples.values().filter(|sample| sample.person == person).cloned().collect();
        Ok(Self {
            examiner: Examiner::new(&vision, &config.vision)?,
            producer: Producer::new(&config.kafka)?,
            writer: GalleryWriter::open(config)?,
            config: config.clone(),
            terms,
            model,
            others,
            similar_id,
            own,
        })
    }

    /// An enrolled id that looks like the id of the person to be enrolled.
    pub fn similar_id(&self) -> Option<&str> {
        self.similar_id.as_deref()
    }

    /// Finds and embeds the face of a picture file.
    ///
    /// # Errors
    ///
    /// The picture is not fit: the error says what to change.
    pub fn examine(&mut self, picture: &Path, min_quality: f32) -> Result<EnrolmentFace, RefusedPicture> {
        self.examiner.examine(&std::fs::read(picture)?, min_quality, None, &[])
    }

    /// An enrolled person under another id whom the face resembles.
    pub fn find_resemblance(&self, face: &EnrolmentFace) -> Option<Resemblance> {
        find_resemblance(&self.others, &face.embedding, "")
    }

    /// Stores the template of a face in the gallery; running hosts know it within a second.
    ///
    /// # Errors
    ///
    /// The brokers do not acknowledge it: enrol the picture again.
    pub fn store(
        &mut self,
        face: &EnrolmentFace,
        person: &str,
        name: &str,
        source: &str,
    ) -> Result<(), EnrolmentError> {
        let sample = Sample {
            person: person.to_owned(),
            name: name.to_owned(),
            model: self.model.clone(),
            embedding: face.embedding.clone(),
            quality: face.quality,
            source: source.to_owned(),
            enrolled_at: unix_ms(),
            thumbnail: face.thumbnail.clone(),
            stranger: None,
            negative: false,
            terms: self.terms.clone(),
        };
        self.writer.store(&self.producer, &face.sample, &sample)?;
        // A picture that is enrolled again replaces its sample.
        self.own.retain(|own| own.embedding != sample.embedding);
        self.own.push(sample);
        Ok(())
    }

    /// What the person agrees to.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Gives the terms to the samples that the person had before.
    ///
    /// # Errors
    ///
    /// The brokers do not answer: enrol a picture again.
    pub fn finish(&self, person: &str) -> Result<(), EnrolmentError> {
        if self.own.iter().any(|sample| sample.terms != self.terms) {
            set_terms(&self.config, &self.producer, person, &self.terms)?;
        }
        Ok(())
    }

    /// The samples of the person that look unlike the person's others, those of this enrolment included.
    pub fn odd_samples(&self) -> Vec<OddSample> {
        find_odd_samples(self.own.iter())
    }
}

/// The person of `index`, other than `person`, whom the face resembles so much that it must be the same one.
pub fn find_resemblance(index: &Index, embedding: &Embedding, person: &str) -> Option<Resemblance> {
    let similar = index.search(embedding, 2).into_iter().find(|candidate| candidate.person != person)?;
    let Candidate { person, similarity } = similar;
    let person = index.find(&person)?;
    (similarity >= NEARLY_THE_SAME).then_some(Resemblance { person, similarity })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32) -> Detection {
        let bounds = Rect { x, y: 0.0, width: 10.0, height: 10.0 };
        Detection { bounds, landmarks: Default::default(), score: 0.9 }
    }

    #[test]
    fn the_chosen_face_is_the_one_in_the_box() {
        let faces = [face(0.0), face(20.0)];
        assert_eq!(find_face(&faces, &face(21.0).bounds), Some(1));
        assert_eq!(find_face(&faces, &face(10.0).bounds), None);
        assert_ne!(sample_id(b"a", None), sample_id(b"a", Some(&faces[0].bounds)));
    }

    #[test]
    fn a_small_face_is_told_the_wanted_height() {
        let small = Fault { weakness: Weakness::Small, height: 20.4, wanted_height: 59.2 };
        assert_eq!(small.to_string(), "it is 20 pixels high, 60 wanted; use a larger picture of it");
    }
}
