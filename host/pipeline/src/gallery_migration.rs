//! Migrates the gallery to another embedder: embeds the enrolment pictures again.
//!
//! The gallery keeps only a small picture of each face (160 pixels), which is not used to embed it again. But the id of a sample is
//! the SHA-256 of its picture (its first eight bytes), so that a picture is recognised as the one that was enrolled, whatever its
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::enrolment::EnrolmentError;
use everyframe_config::Config;
use everyframe_gallery::{GalleryWriter, Sample, read_samples};
use everyframe_kafka::Producer;
use everyframe_types::face::Embedding;
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_vision::{EnrolmentView, Vision, Worker, list_pictures};
use sha2::{Digest as _, Sha256};

/// What a migration did, or would do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// The configured embedder's name.
    pub embedder: String,
    /// Samples that are of the configured embedder already.
    pub current: usize,
    /// Samples that were embedded again: person and picture.
    pub migrated: Vec<(String, PathBuf)>,
    /// Pictures that are of an enrolled sample but could not be embedded, and why.
    pub refused: Vec<(PathBuf, String)>,
    /// People of whom some samples are of another embedder still; they are recognised by the others.
    pub partly: BTreeSet<String>,
    /// People of whom no sample is of the configured embedder: they must be enrolled again.
    pub enrol_again: BTreeSet<String>,
}

/// Embeds again, with the configured embedder, every sample of another embedder whose picture is in `pictures` or its
/// subfolders. The new sample replaces the old one. With `dry_run`, nothing is stored.
///
/// # Errors
///
/// The models cannot be loaded, the folder cannot be read, or the brokers do not answer: some samples may be stored already;
/// run it again.
pub fn migrate_gallery(
    config: &Config,
    cache: &Path,
    pictures: Option<&Path>,
    dry_run: bool,
) -> Result<Migration, MigrationError> {
    let vision = Vision::load(&config.vision, cache).map_err(EnrolmentError::from)?;
    let embedder = &vision.models().embedder;
    let samples = read_samples(config).map_err(EnrolmentError::from)?;
    let by_id = match pictures {
        Some(folder) => index_pictures(folder)
            .map_err(|error| MigrationError::Pictures { folder: folder.to_owned(), error })?,
        None => BTreeMap::new(),
    };
    let mut worker = vision.worker().map_err(EnrolmentError::from)?;
    let producer = Producer::new(&config.kafka).map_err(EnrolmentError::from)?;
    let mut writer = GalleryWriter::open(config).map_err(EnrolmentError::from)?;
    let mut migration = Migration { embedder: embedder.name.clone(), ..Migration::default() };
    let (mut recognised, mut left) = (BTreeSet::new(), BTreeSet::new());
    for (key, sample) in &samples {
        let id = key.rsplit_once('/').map_or(key.as_str(), |(_, id)| id);
        if sample.model == embedder.sha256 {
            migration.current += 1;
            recognised.insert(sample.person.clone());
            continue;
        }
        let embedded = by_id.get(id).map(|picture| (picture, embed_picture(&mut worker, picture)));
        match embedded {
            Some((picture, Ok(embedding))) => {
                let new = Sample { model: embedder.sha256.clone(), embedding, ..sample.clone() };
                if !dry_run {
                    writer.store(&producer, id, &new).map_err(EnrolmentError::from)?;
                }
                migration.migrated.push((sample.person.clone(), picture.clone()));
                recognised.insert(sample.person.clone());
            }
            Some((picture, Err(reason))) => {
                migration.refused.push((picture.clone(), reason));
                left.insert(sample.person.clone());
            }
            None => drop(left.insert(sample.person.clone())),
        }
    }
    migration.partly = left.intersection(&recognised).cloned().collect();
    migration.enrol_again = left.difference(&recognised).cloned().collect();
    Ok(migration)
}

/// Why a gallery cannot be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The folder of pictures cannot be read.
    #[error("{folder}: {error}")]
    Pictures {
        /// The folder.
        folder: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The models, or the gallery, cannot be used.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
}

/// The pictures of a folder, by the id of the sample that is enrolled from them.
fn index_pictures(folder: &Path) -> std::io::Result<BTreeMap<String, PathBuf>> {
    let mut pictures = BTreeMap::new();
    for path in list_pictures(folder)? {
        let bytes = std::fs::read(&path)?;
        pictures.insert(hexadecimal(&Sha256::digest(&bytes)[..8]), path);
    }
    Ok(pictures)
}

/// Embeds the one face of a picture that was good enough for enrolment before.
fn embed_picture(worker: &mut Worker, picture: &Path) -> Result<Embedding, String> {
    let bytes = std::fs::read(picture).map_err(|error| error.to_string())?;
    let EnrolmentView { detections, .. } =
        worker.detect_for_enrolment(&bytes, &[]).map_err(|error| error.to_string())?;
    let [face] = &detections.detections[..] else {
        return Err(format!("{} faces found instead of one", detections.detections.len()));
    };
    let embeddings = worker.embed(&bytes, &[], &detections, std::slice::from_ref(face));
    let embedding = embeddings.map_err(|error| error.to_string())?.into_iter().next().flatten();
    embedding.ok_or_else(|| "the face gives no embedding".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_found_by_its_content_in_any_subfolder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("ann")).unwrap();
        std::fs::write(folder.path().join("ann").join("renamed.JPG"), "abc").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "abc").unwrap();
        let pictures = index_pictures(folder.path()).unwrap();
        // SHA-256 of "abc", FIPS 180-2.
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let expected = folder.path().join("ann").join("renamed.JPG");
        assert_eq!(pictures.into_iter().collect::<Vec<_>>(), [(sum[..16].to_owned(), expected)]);
        assert!(index_pictures(&folder.path().join("absent")).is_err());
    }
}
