//! Measures what the whole pipeline costs on this machine, Kafka, vision, rules and publishing included; and how accurately it
//! recognises people ([`accuracy`]).
//!
//! [`measure`] puts the frames of a folder into the frames topic and has a host process them, in this process. The broker
//! is a process of its own, and not counted.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod accuracy;
mod verification;

use everyframe_agent::{
    Agent, AgentError, Destination, STOPPED_WAIT, Source, SourceAddress, SourceError, SourceOptions,
    WatchSettings,
};
use everyframe_config::Config;
use everyframe_gallery::{GalleryError, GalleryWriter, Sample, Terms};
use everyframe_kafka::{BrokerError, Producer};
use everyframe_pipeline::observe::Snapshot;
use everyframe_pipeline::run::{Host, RunError};
use everyframe_privacy::{KeyRing, PrivacyError};
use everyframe_rules::Rules;
use everyframe_telemetry::cpu_timer::process_time;
use everyframe_types::face::Embedding;
use everyframe_vision::{Vision, VisionError, WorkerStats};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What was measured. Times are CPU milliseconds a frame unless the name says `wall`.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Always `everyframe`, to tell it from other programs in a table.
    pub name: &'static str,
    /// Frames that were processed.
    pub frames: u64,
    /// Faces found.
    pub faces: u64,
    /// Frames that were parked.
    pub parked: u64,
    /// Frames a second, by the clock on the wall.
    pub frames_per_second: f64,
    /// CPU time a frame, of all threads, ms.
    pub cpu_ms_per_frame: f64,
    /// Time a frame by the clock on the wall, ms.
    pub wall_ms_per_frame: f64,
    /// Where the CPU time went.
    pub stages: Stages,
    /// The share of the CPU time that is neither decoding nor inference, 0 to 1.
    pub neither_decoding_nor_inference: f64,
    /// The share of the CPU time that is not inference, 0 to 1.
    pub not_inference: f64,
    /// The models, and what runs them.
    pub models: String,
}

/// Milliseconds a frame.
#[derive(Debug, Serialize)]
pub struct Stages {
    /// Decoding the picture.
    pub decode: f64,
    /// Resizing and planes for the detector.
    pub prepare: f64,
    /// The detector.
    pub detect: f64,
    /// From the detector's outputs to boxes.
    #[serde(rename = "locate")]
    pub decode_outputs: f64,
    /// Aligning faces.
    pub align: f64,
    /// The embedder.
    pub embed: f64,
    /// The rules.
    pub rules: f64,
    /// Kafka, tracking, search, publishing.
    pub rest: f64,
}

/// What is measured.
pub struct Setup<'a> {
    /// The configuration; its broker answers and has the topics.
    pub config: &'a Config,
    /// A folder with JPEG frames, or with one such folder for each camera.
    pub frames: &'a Path,
    /// People with made-up templates that are enrolled first.
    pub people: usize,
    /// The folder with models, libraries and compiled rules.
    pub cache: &'a Path,
    /// A folder for the agent's spool.
    pub spool: &'a Path,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The folder of frames cannot be read.
    #[error("{}: {reason}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// The folder has no frames.
    #[error("{}: no frames in it", .0.display())]
    NoFrames(PathBuf),
    /// A source of frames cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The frames could not be put into the frames topic.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The brokers do not answer.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A key cannot be read.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The made-up people could not be enrolled.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The models cannot be loaded.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The host could not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A defect of the host.
    #[error("the host panicked")]
    Panicked,
}

/// Has a host with these rules process the frames. Returns the figures, and how many frames there were to process.
///
/// # Errors
///
/// Frames, models or the broker are not usable, or the host failed: the error says which, and nothing was measured.
pub fn measure(setup: &Setup<'_>, rules: Rules) -> Result<(Figures, u64), MeasureError> {
    let config = setup.config;
    let producer = Producer::new(&config.kafka)?;
    let sent = send_frames(setup)?;
    let models = {
        let vision = Vision::load(&config.vision, setup.cache)?;
        let model = &vision.models().embedder.sha256;
        enrol_made_up_people(setup.people, model, &producer, config)?;
        vision.models().to_string()
    };
    let stop = Arc::new(AtomicBool::new(false));
    let host = Host::start(config, rules, setup.cache, stop.clone())?;
    let (cpu, wall) = (process_time(), Instant::now());
    let (ran, took) = std::thread::scope(|scope| {
        let running = scope.spawn(|| host.run());
        let done = |totals: &Snapshot| totals.judged + totals.parked >= sent;
        while !done(&host.totals()) && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let took = (process_time() - cpu, wall.elapsed());
        stop.store(true, Ordering::Relaxed);
        (running.join(), took)
    });
    ran.map_err(|_| MeasureError::Panicked)??;
    let (totals, spent) = host.end();
    Ok((figures(&totals, &spent, took, models), sent))
}

/// Puts all frames into the frames topic, and returns how many.
fn send_frames(setup: &Setup<'_>) -> Result<u64, MeasureError> {
    let mut sent = 0;
    for folder in camera_folders(setup.frames)? {
        let id = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let destination = Destination {
            camera: everyframe_types::id::clean(&id),
            topic: setup.config.topics.frames.clone(),
            kafka: setup.config.kafka.clone(),
            spool: setup.spool.to_owned(),
            spool_bytes: 1 << 30,
            ring: Arc::new(KeyRing::load(&setup.config.privacy)?),
        };
        let (watch, stopped_wait) = (WatchSettings::default(), STOPPED_WAIT);
        let agent = Agent { destination, rate: None, repeat: false, watch, stopped_wait };
        let address = SourceAddress::from(folder.as_path());
        let mut source = Source::open(&address, &SourceOptions::default())?.as_recording();
        // The topics are there.
        let tally = agent.run(&mut source, Box::new(|| Ok(())), &AtomicBool::new(false))?;
        sent += tally.acknowledged;
    }
    if sent == 0 {
        return Err(MeasureError::NoFrames(setup.frames.to_owned()));
    }
    Ok(sent)
}

/// The folder itself, or its folders if it has any.
fn camera_folders(folder: &Path) -> Result<Vec<PathBuf>, MeasureError> {
    let unreadable = |reason| MeasureError::Folder { folder: folder.to_owned(), reason };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(if folders.is_empty() { vec![folder.to_owned()] } else { folders })
}

/// Made-up templates point in directions that depend on their number alone.
fn enrol_made_up_people(
    count: usize,
    model: &str,
    producer: &Producer,
    config: &Config,
) -> Result<(), GalleryError> {
    let mut writer = GalleryWriter::open(config)?;
    let mut state = 1u32;
    for number in 0..count {
        let values: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .take(128)
        .collect();
        let Some(embedding) = Embedding::from_raw(&values) else { continue };
        let person = format!("person-{number}");
        let sample = Sample {
            name: person.clone(),
            person,
            model: model.to_owned(),
            embedding,
            quality: 1.0,
            source: "made up".into(),
            enrolled_at: 0,
            thumbnail: Vec::new(),
            stranger: None,
            negative: false,
            terms: Terms::default(),
        };
        writer.store(producer, "0", &sample)?;
    }
    Ok(())
}

fn figures(
    totals: &Snapshot,
    spent: &WorkerStats,
    (cpu, wall): (Duration, Duration),
    models: String,
) -> Figures {
    let frames = totals.judged + totals.parked;
    let per_frame = |time: Duration| time.as_secs_f64() * 1e3 / frames.max(1) as f64;
    let cpu_ms = per_frame(cpu);
    let stages = Stages {
        decode: per_frame(spent.decode),
        prepare: per_frame(spent.prepare),
        detect: per_frame(spent.detect),
        decode_outputs: per_frame(spent.decode_outputs),
        align: per_frame(spent.align),
        embed: per_frame(spent.embed),
        rules: totals.rules_ms / frames.max(1) as f64,
        rest: 0.0,
    };
    let inference = stages.detect + stages.embed;
    let vision = stages.decode + inference + stages.prepare + stages.decode_outputs + stages.align;
    let stages = Stages { rest: (cpu_ms - vision - stages.rules).max(0.0), ..stages };
    Figures {
        name: "everyframe",
        frames,
        faces: totals.faces,
        parked: totals.parked,
        frames_per_second: frames as f64 / wall.as_secs_f64(),
        cpu_ms_per_frame: cpu_ms,
        wall_ms_per_frame: per_frame(wall),
        neither_decoding_nor_inference: (cpu_ms - stages.decode - inference) / cpu_ms,
        not_inference: (cpu_ms - inference) / cpu_ms,
        stages,
        models,
    }
}
