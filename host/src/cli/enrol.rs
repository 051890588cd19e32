//! `everyframe enrol`

use super::{Connection, DONE, FAILED, logging};
use crate::config::Config;
use crate::gallery::{Sample, store};
use crate::hexadecimal::hexadecimal;
use crate::kafka::{Producer, ensure};
use crate::vision::{EnrolmentView, Vision, Worker, quality};
use anyhow::{Result, anyhow, bail};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe enrol ann --name \"Ann Lee\" ann-1.jpg ann-2.jpg\n\
    A picture must show one face, and show it well. Running hosts know the person within a second.")]
pub struct Arguments {
    /// The person's id, as it appears in results and alerts.
    person: String,
    /// Pictures of the person: JPEG, PNG or WebP.
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
    /// The name to show; the id if not given.
    #[arg(long)]
    name: Option<String>,
    /// Refuse a face of lower quality, 0 to 1.
    #[arg(long, default_value_t = 0.4)]
    min_quality: f32,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let config = arguments.connection.config()?;
    let runtime = super::runtime()?;
    runtime.block_on(ensure(&config))?;
    let vision = Vision::load(&config.vision, &super::cache_folder()?)?;
    let mut worker = vision.worker()?;
    let producer = Producer::new(&config.kafka)?;
    let mut refused = 0;
    for picture in &arguments.pictures {
        match enrol(arguments, picture, &config, &vision, &mut worker, &producer) {
            Ok(quality) => println!("{}: enrolled, quality {quality:.2}", picture.display()),
            Err(error) => {
                logging::tell(&format!("everyframe: {}: refused: {error:#}", picture.display()));
                refused += 1;
            }
        }
    }
    let enrolled = arguments.pictures.len() - refused;
    println!("{}: enrolled {enrolled}, refused {refused}", arguments.person);
    Ok(if refused == 0 { DONE } else { FAILED })
}

fn enrol(
    arguments: &Arguments,
    picture: &Path,
    config: &Config,
    vision: &Vision,
    worker: &mut Worker,
    producer: &Producer,
) -> Result<f32> {
    let bytes = std::fs::read(picture)?;
    let EnrolmentView { seen, should_be_turned } = worker.detect_for_enrolment(&bytes)?;
    if let Some(turn) = should_be_turned {
        bail!("the face is not upright; turn the picture {turn}");
    }
    let face = match seen.detections.as_slice() {
        [face] => face,
        [] => bail!("no face found; use a picture that shows the face from the front"),
        faces => bail!("{} faces found; cut the picture so that it shows one", faces.len()),
    };
    let quality = quality(face, seen.width, seen.height);
    if quality < arguments.min_quality {
        bail!(
            "the face is poor (quality {quality:.2}, at least {:.2} wanted); use a larger, sharper, frontal one",
            arguments.min_quality
        );
    }
    let embedding = worker.embed(&bytes, &[], &seen, std::slice::from_ref(face))?.pop().flatten();
    let sample = Sample {
        person: arguments.person.clone(),
        name: arguments.name.clone().unwrap_or_else(|| arguments.person.clone()),
        model: vision.models().embedder.sha256.clone(),
        embedding: embedding.ok_or_else(|| anyhow!("the face gives no embedding; use another picture"))?,
        quality,
        source: picture.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        enrolled_at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64,
    };
    let id = hexadecimal(&Sha256::digest(&bytes)[..8]);
    store(producer, &config.topics.gallery, &id, &sample)?;
    Ok(quality)
}
