//! `everyframe enrol`

use super::ask::confirm;
use super::{Connection, DONE, FAILED, logging};
use anyhow::{Result, anyhow, bail};
use everyframe_config::Config;
use everyframe_gallery::{
    Index, NEARLY_THE_SAME, Sample, find_similar_id, parse_person_id, read_samples, store_sample,
};
use everyframe_kafka::{Producer, ensure};
use everyframe_types::face::{Candidate, Embedding};
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_types::id::{parse_name, printable};
use everyframe_vision::{EnrolmentView, Vision, Worker, quality};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe enrol ann --name \"Ann Lee\" ann-1.jpg ann-2.jpg\n\
    A picture must show one face, and show it well. A face that resembles somebody enrolled under another id is refused: \
    one person under two ids is never recognised. Running hosts know the person within a second.")]
pub struct Arguments {
    /// The person's id, as it appears in results and alerts: at most 128 bytes, without `/`.
    #[arg(value_parser = parse_person_id)]
    person: String,
    /// Pictures of the person: JPEG, PNG or WebP.
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
    /// The name to show; the id if not given.
    #[arg(long, value_parser = parse_name)]
    name: Option<String>,
    /// Refuse a face of lower quality, 0 to 1.
    #[arg(long, default_value_t = 0.4)]
    min_quality: f32,
    /// Enrol the person even if the face resembles another person's, or the id looks like another one.
    #[arg(long)]
    force: bool,
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
    let others = Others::read(&config, &arguments.person, &vision.models().embedder.sha256)?;
    if let Some(other) = &others.alike_id {
        let why = format!("the id `{}` looks like `{other}`, who is enrolled", arguments.person);
        if !may_go_on(arguments, &why)? {
            logging::tell(&format!(
                "everyframe: {why}: give that id if it is the same person, or --force if they are two"
            ));
            return Ok(FAILED);
        }
    }
    let mut refused = 0;
    for picture in &arguments.pictures {
        match enrol(arguments, picture, &config, &vision, &mut worker, &producer, &others) {
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
    others: &Others,
) -> Result<f32> {
    let bytes = std::fs::read(picture)?;
    let EnrolmentView { detections: seen, rotation } = worker.detect_for_enrolment(&bytes)?;
    if let Some(turn) = rotation {
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
    let embedding = embedding.ok_or_else(|| anyhow!("the face gives no embedding; use another picture"))?;
    if let Some(resemblance) = others.find_resemblance(&embedding)
        && !may_go_on(arguments, &format!("{}: {resemblance}", picture.display()))?
    {
        bail!(
            "{resemblance}: enrol the picture under that id if it is the same person, or give --force if they are two"
        );
    }
    let sample = Sample {
        person: arguments.person.clone(),
        name: arguments.name.clone().unwrap_or_else(|| arguments.person.clone()),
        model: vision.models().embedder.sha256.clone(),
        embedding,
        quality,
        source: picture.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        enrolled_at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64,
    };
    let id = hexadecimal(&Sha256::digest(&bytes)[..8]);
    store_sample(producer, &config.topics.gallery, &id, &sample)?;
    Ok(quality)
}

/// The people who are enrolled under other ids.
struct Others {
    /// An enrolled id that looks like the id of the person to be enrolled.
    alike_id: Option<String>,
    index: Index,
}

impl Others {
    fn read(config: &Config, person: &str, model: &str) -> Result<Self> {
        let samples = read_samples(config)?;
        let alike_id = find_similar_id(samples.values(), person).map(printable);
        let others = samples.values().filter(|sample| sample.person != person);
        Ok(Self { alike_id, index: Index::new(others, model) })
    }

    /// Whom a face resembles, in words.
    fn find_resemblance(&self, embedding: &Embedding) -> Option<String> {
        let Candidate { person, similarity } = self.index.search(embedding, 1).pop()?;
        let name = self.index.find(&person).filter(|known| known.name != person);
        let name = name.map_or_else(String::new, |known| format!(" ({})", printable(&known.name)));
        let resembles = format!(
            "the face resembles `{}`{name}, who is enrolled, similarity {similarity:.2}",
            printable(&person)
        );
        (similarity >= NEARLY_THE_SAME).then_some(resembles)
    }
}

/// Asks whether to enrol a person who may be enrolled already; `why` says what points to that.
fn may_go_on(arguments: &Arguments, why: &str) -> Result<bool> {
    if arguments.force {
        logging::tell(&format!("everyframe: warning: {why}; enrolled because of --force"));
        return Ok(true);
    }
    Ok(confirm(&format!("{why}. Enrol as `{}` anyway", arguments.person))?.unwrap_or(false))
}
