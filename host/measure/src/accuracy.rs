//! Measures how accurately people are recognised, on a folder with pictures of each person.
//!
//! [`measure_accuracy`] shows each picture to a worker as a frame, scaled so that the face has a given height. So detection and
//! alignment count, as in a camera's frames. For each height it measures single pictures, pictures that were blurred or badly lit,
//! and tracks of several pictures that the embedding cache fused.

pub use crate::verification::Verification;

use crate::verification::{Pair, Pairs, WORST_SHARE};
use everyframe_config::VisionSettings;
use everyframe_types::face::{Detection, Embedding, Track};
use everyframe_vision::{
    Degradation, EmbeddingCache, PictureError, Portrait, Quality, TrackUpdate, Vision, VisionError, Worker,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The heights of faces that are measured, pixels.
pub const FACE_HEIGHTS: [u32; 3] = [112, 56, 28];

/// Each fifth of the pictures gets one of these in the rows of degraded pictures; the first is as it was.
const DEGRADATIONS: [Option<Degradation>; 5] = [
    None,
    Some(Degradation::Blurred(0.025)),
    Some(Degradation::Blurred(0.04)),
    Some(Degradation::Exposed(0.1)),
    Some(Degradation::Exposed(2.5)),
];

/// What is measured.
pub struct AccuracySetup<'a> {
    /// The folder: one folder for each person, with that person's pictures.
    pub folder: &'a Path,
    /// The models, and how faces are detected.
    pub vision: &'a VisionSettings,
    /// The folder with models and libraries.
    pub cache: &'a Path,
    /// Number of pictures in a track; at least 2.
    pub track_length: usize,
}

/// The accuracy on a folder of people.
#[derive(Debug, Serialize)]
pub struct Accuracy {
    /// The models, and what runs them.
    pub models: String,
    /// Number of people.
    pub people: usize,
    /// Number of pictures in which a face was found at their own size.
    pub pictures: usize,
    /// The pictures that were left out, and why.
    pub left_out: Vec<String>,
    /// The results: for each height of the face, each kind of pictures of which there are any.
    pub rows: Vec<Row>,
}

/// The accuracy for one height of the face and one kind of pictures.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Height of the face, pixels.
    pub face_height: u32,
    /// What is compared with single pictures.
    pub kind: Kind,
    /// Number of pictures in which the face was found at this height, or of tracks.
    pub probes: usize,
    /// The error rates of all pairs, in percent.
    #[serde(flatten)]
    pub verification: Verification,
    /// Percent of the faces whose most similar picture shows the same person.
    pub rank_1: Option<f64>,
}

/// What is compared with the single pictures of the same height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Single pictures.
    Single,
    /// Tracks of several pictures.
    Fused,
    /// Pictures of which four fifths were blurred, underexposed or overexposed.
    Degraded,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum AccuracyError {
    /// The folder cannot be read.
    #[error("{}: {reason}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// There is nothing to compare.
    #[error(
        "{}: pictures with a face of {people} people; at least two people are needed, and two pictures of one of them. Give a \
         folder that has a folder of pictures for each person", folder.display()
    )]
    TooFew {
        /// The folder.
        folder: PathBuf,
        /// The number of people with a picture in which a face was found.
        people: usize,
    },
    /// The models cannot be loaded.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// A model failed.
    #[error(transparent)]
    Inference(PictureError),
}

/// A picture of a person, with a face in it.
struct Subject {
    /// The number of the person.
    person: usize,
    portrait: Portrait,
    /// The height of the face at the picture's own size, pixels.
    face_height: f32,
}

/// A face that is compared.
struct Probe {
    person: usize,
    /// The numbers of the pictures that it was made from.
    pictures: std::ops::Range<usize>,
    embedding: Embedding,
    quality: f32,
}

/// Measures the accuracy.
///
/// # Errors
///
/// See [`AccuracyError`]: show the message to the person who asked.
pub fn measure_accuracy(setup: &AccuracySetup<'_>) -> Result<Accuracy, AccuracyError> {
    let vision = Vision::load(setup.vision, setup.cache)?;
    let mut worker = vision.worker()?;
    let mut left_out = Vec::new();
    let subjects = read_subjects(setup.folder, &mut worker, &mut left_out)?;
    let count = |person| subjects.iter().filter(|subject| subject.person == person).count();
    let last = subjects.last().map_or(0, |subject| subject.person + 1);
    let people = (0..last).filter(|person| count(*person) > 0).count();
    if people < 2 || (0..last).all(|person| count(person) < 2) {
        return Err(AccuracyError::TooFew { folder: setup.folder.to_owned(), people });
    }
    let mut rows = Vec::new();
    for face_height in FACE_HEIGHTS {
        let faces = find_faces(&mut worker, &subjects, face_height, Kind::Single)?;
        let tracks = fuse_tracks(&subjects, &faces, setup.track_length.max(2));
        let singles: Vec<Probe> = faces.into_iter().flatten().collect();
        let degraded = find_faces(&mut worker, &subjects, face_height, Kind::Degraded)?;
        let degraded: Vec<Probe> = degraded.into_iter().flatten().collect();
        for (kind, probes) in [(Kind::Single, &singles), (Kind::Fused, &tracks), (Kind::Degraded, &degraded)]
        {
            if !probes.is_empty() {
                rows.push(compare(face_height, kind, probes, &singles));
            }
        }
    }
    Ok(Accuracy { models: vision.models().to_string(), people, pictures: subjects.len(), left_out, rows })
}

/// The pictures in which a face is found, by person, each in the order of their names.
fn read_subjects(
    folder: &Path,
    worker: &mut Worker,
    left_out: &mut Vec<String>,
) -> Result<Vec<Subject>, AccuracyError> {
    let mut subjects = Vec::new();
    let folders = list_folder(folder)?.into_iter().filter(|path| path.is_dir());
    for (person, folder) in folders.enumerate() {
        for file in list_folder(&folder)?.into_iter().filter(|path| path.is_file()) {
            let read = |reason| AccuracyError::Folder { folder: file.clone(), reason };
            let bytes = std::fs::read(&file).map_err(read)?;
            let found = Portrait::decode(&bytes).and_then(|portrait| {
                let detections = worker.detect(&portrait.encode(1.0)?, &[])?.detections;
                Ok(largest(&detections).map(|(_, face)| (portrait, face.bounds.height)))
            });
            match found {
                Ok(Some((portrait, face_height))) => {
                    subjects.push(Subject { person, portrait, face_height });
                }
                Ok(None) => left_out.push(format!("{}: no face found", file.display())),
                Err(error) if error.is_hosts_fault() => return Err(AccuracyError::Inference(error)),
                Err(error) => left_out.push(format!("{}: {error}", file.display())),
            }
        }
    }
    Ok(subjects)
}

fn list_folder(folder: &Path) -> Result<Vec<PathBuf>, AccuracyError> {
    let unreadable = |reason| AccuracyError::Folder { folder: folder.to_owned(), reason };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// The largest face, which is the person's; others are people in the background.
fn largest(faces: &[Detection]) -> Option<(usize, &Detection)> {
    let area = |face: &Detection| face.bounds.width * face.bounds.height;
    faces.iter().enumerate().max_by(|(_, a), (_, b)| area(a).total_cmp(&area(b)))
}

/// For each picture, its face at the given height; none if it is not found.
fn find_faces(
    worker: &mut Worker,
    subjects: &[Subject],
    face_height: u32,
    kind: Kind,
) -> Result<Vec<Option<Probe>>, AccuracyError> {
    let mut find = |number: usize, subject: &Subject| -> Result<Option<Probe>, PictureError> {
        let (height, portrait) = (face_height as f32, &subject.portrait);
        let scale = height / subject.face_height;
        // Shifted by one from person to person, so that the pictures of one number are not all alike.
        let degradation = DEGRADATIONS[(number + subject.person) % DEGRADATIONS.len()];
        let picture = match degradation.filter(|_| kind == Kind::Degraded) {
            Some(degradation) => portrait.encode_degraded(scale, height, degradation)?,
            None => portrait.encode(scale)?,
        };
        let detections = worker.detect(&picture, &[])?;
        let Some((index, face)) = largest(&detections.detections) else { return Ok(None) };
        let quality = detections.qualities().get(index).map_or(0.0, Quality::value);
        let embeddings = worker.embed(&picture, &[], &detections, std::slice::from_ref(face))?;
        let embedding = embeddings.into_iter().next().flatten();
        Ok(embedding.map(|embedding| Probe {
            person: subject.person,
            pictures: number..number + 1,
            embedding,
            quality,
        }))
    };
    let found = subjects.iter().enumerate().map(|(number, subject)| find(number, subject));
    found.collect::<Result<_, _>>().map_err(AccuracyError::Inference)
}

/// Fuses the faces of each person as those of tracks of `length` successive pictures; pictures that are left over are in no
/// track.
fn fuse_tracks(subjects: &[Subject], faces: &[Option<Probe>], length: usize) -> Vec<Probe> {
    let mut tracks = Vec::new();
    let mut start = 0;
    while let Some(Subject { person, .. }) = subjects.get(start) {
        let end = start + length;
        let count = subjects[start..].iter().take_while(|subject| subject.person == *person).count();
        if count < length {
            start += count;
            continue;
        }
        let mut cache = EmbeddingCache::default();
        let mut fused = None;
        let views = faces[start..end].iter().flatten();
        for (view, probe) in (0u64..).zip(views) {
            let track = Track { id: 0, started_at: 0 };
            let update = TrackUpdate { track, embed: true, may_be_another: false, view: Some(view) };
            let (_, embedding) = cache.update(&update, Some(probe.embedding.clone()), probe.quality, 0, 1);
            let quality = fused.map_or(probe.quality, |(_, quality): (_, f32)| quality.max(probe.quality));
            fused = embedding.map(|embedding| (embedding, quality));
        }
        if let Some((embedding, quality)) = fused {
            tracks.push(Probe { person: *person, pictures: start..end, embedding, quality });
        }
        start = end;
    }
    tracks
}

/// Compares each probe with each single picture that it was not made from.
fn compare(face_height: u32, kind: Kind, probes: &[Probe], singles: &[Probe]) -> Row {
    let mut pairs = Pairs::default();
    let (mut right, mut ranked) = (0usize, 0usize);
    for probe in probes {
        let (mut best, mut has_other) = (None, false);
        for single in singles.iter().filter(|single| !probe.pictures.contains(&single.pictures.start)) {
            let similarity = probe.embedding.similarity(&single.embedding);
            let is_same = single.person == probe.person;
            has_other |= is_same;
            if best.is_none_or(|(most, _)| similarity > most) {
                best = Some((similarity, is_same));
            }
            // Of two single pictures, only one is the probe.
            if kind == Kind::Single && single.pictures.start < probe.pictures.start {
                continue;
            }
            let pair = Pair { similarity, quality: probe.quality.min(single.quality) };
            if is_same { pairs.same.push(pair) } else { pairs.different.push(pair) }
        }
        if has_other {
            ranked += 1;
            right += usize::from(best.is_some_and(|(_, is_same)| is_same));
        }
    }
    let mut qualities: Vec<f32> = probes.iter().map(|probe| probe.quality).collect();
    qualities.sort_by(f32::total_cmp);
    let worst = (qualities.len() as f64 * WORST_SHARE) as usize;
    let verification = pairs.verify(qualities.get(worst).copied().unwrap_or_default());
    let rank_1 = (ranked > 0).then(|| 100.0 * right as f64 / ranked as f64);
    Row { face_height, kind, probes: probes.len(), verification, rank_1 }
}
