//! Enrols people from pictures.

use everyframe_config::Config;
use everyframe_gallery::{
    GalleryError, Index, NEARLY_THE_SAME, OddSample, Sample, find_odd_samples, find_similar_id, read_samples,
    store_sample,
};
use everyframe_kafka::{BrokerError, Producer};
use everyframe_types::face::{Candidate, Embedding, Person};
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_types::id::printable;
use everyframe_types::machine::unix_ms;
use everyframe_vision::{
    EnrolmentView, PictureError, Quality, Rotation, Vision, VisionError, Weakness, Worker,
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
    worker: Worker,
    producer: Producer,
    topic: String,
    model: String,
    /// The people who are enrolled under other ids.
    others: Index,
    similar_id: Option<String>,
    /// The samples of the person: those that were enrolled before, and the new ones.
    own: Vec<Sample>,
}

/// A face that can be enrolled.
pub struct EnrolmentFace {
    /// Its quality, 0 to 1.
    pub quality: f32,
    /// An enrolled person whom it resembles, under another id.
    pub resemblance: Option<Resemblance>,
    embedding: Embedding,
    /// The sample's id: the first bytes of the picture's SHA-256, hexadecimal.
    sample: String,
    /// The name of the file.
    source: String,
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
    /// Loads the models and reads the gallery, to enrol the person of this id.
    ///
    /// # Errors
    ///
    /// The models cannot be loaded, or the brokers do not answer.
    pub fn open(config: &Config, cache: &Path, person: &str) -> Result<Self, EnrolmentError> {
        let vision = Vision::load(&config.vision, cache)?;
        let model = vision.models().embedder.sha256.clone();
        let samples = read_samples(config)?;
        let similar_id = find_similar_id(samples.values(), person).map(printable);
        let others = Index::new(samples.iter().filter(|(_, sample)| sample.person != person), &model);
        let own = samples.values().filter(|sample| sample.person == person).cloned().collect();
        Ok(Self {
            worker: vision.worker()?,
            producer: Producer::new(&config.kafka)?,
            topic: config.topics.gallery.clone(),
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

    /// Finds and embeds the face of a picture.
    ///
    /// # Errors
    ///
    /// The picture is not fit: the error says what to change.
    pub fn examine(&mut self, picture: &Path, min_quality: f32) -> Result<EnrolmentFace, RefusedPicture> {
        let bytes = std::fs::read(picture)?;
        let EnrolmentView { detections, rotation } = self.worker.detect_for_enrolment(&bytes)?;
        if let Some(rotation) = rotation {
            return Err(RefusedPicture::NotUpright(rotation));
        }
        let face = match detections.detections.as_slice() {
            [face] => face,
            [] => return Err(RefusedPicture::NoFace),
            faces => return Err(RefusedPicture::SeveralFaces(faces.len())),
        };
        let measured = detections.qualities().first().copied().ok_or(RefusedPicture::NoFace)?;
        let quality = measured.value();
        if quality < min_quality {
            let fault = Fault::new(&measured, face.bounds.height, min_quality);
            return Err(RefusedPicture::Poor { quality, wanted: min_quality, fault });
        }
        let embeddings = self.worker.embed(&bytes, &[], &detections, std::slice::from_ref(face))?;
        let embedding = embeddings.into_iter().next().flatten().ok_or(RefusedPicture::NoEmbedding)?;
        Ok(EnrolmentFace {
            quality,
            resemblance: self.find_resemblance(&embedding),
            embedding,
            sample: hexadecimal(&Sha256::digest(&bytes)[..8]),
            source: picture.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        })
    }

    fn find_resemblance(&self, embedding: &Embedding) -> Option<Resemblance> {
        let Candidate { person, similarity } = self.others.search(embedding, 1).pop()?;
        let person = self.others.find(&person)?;
        (similarity >= NEARLY_THE_SAME).then_some(Resemblance { person, similarity })
    }

    /// Stores the template of a face in the gallery; running hosts know it within a second.
    ///
    /// # Errors
    ///
    /// The brokers do not acknowledge it: enrol the picture again.
    pub fn store(&mut self, face: &EnrolmentFace, person: &str, name: &str) -> Result<(), EnrolmentError> {
        let sample = Sample {
            person: person.to_owned(),
            name: name.to_owned(),
            model: self.model.clone(),
            embedding: face.embedding.clone(),
            quality: face.quality,
            source: face.source.clone(),
            enrolled_at: unix_ms(),
        };
        store_sample(&self.producer, &self.topic, &face.sample, &sample)?;
        // A picture that is enrolled again replaces its sample.
        self.own.retain(|own| own.embedding != sample.embedding);
        self.own.push(sample);
        Ok(())
    }

    /// The samples of the person that look unlike the person's others, those of this enrolment included.
    pub fn odd_samples(&self) -> Vec<OddSample> {
        find_odd_samples(self.own.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_face_is_told_the_wanted_height() {
        let small = Fault { weakness: Weakness::Small, height: 20.4, wanted_height: 59.2 };
        assert_eq!(small.to_string(), "it is 20 pixels high, 60 wanted; use a larger picture of it");
    }
}
