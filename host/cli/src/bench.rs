//! `everyframe bench`: the whole pipeline on a folder of frames, Kafka, rules and publishing included.

use super::broker::{ShippedRules, create_topics, start_broker, write_config};
use super::{DONE, FAILED};
use anyhow::{Result, bail};
use everyframe_agent::{Agent, Destination, Source, SourceAddress};
use everyframe_config::Loaded;
use everyframe_gallery::{Sample, store_sample};
use everyframe_kafka::Producer;
use everyframe_pipeline::observe::Snapshot;
use everyframe_pipeline::run::Host;
use everyframe_rules::Rules;
use everyframe_telemetry::cpu_timer::process_time;
use everyframe_types::face::Embedding;
use everyframe_vision::WorkerStats;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
#[command(after_help = "The broker is a process of its own and not counted; everything else is.\n\
    For figures on one core: taskset -c 0 everyframe bench FOLDER")]
pub struct Arguments {
    /// A folder with JPEG frames; or with one such folder for each camera.
    folder: PathBuf,
    /// Vision workers.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Embed a track's face once in a while, as `run` does; without it, every face of every frame.
    #[arg(long)]
    tracked: bool,
    /// Look for faces at no more than this many pixels on the longer side; without it, as `run` does.
    #[arg(long, value_name = "PIXELS")]
    max_side: Option<u32>,
    /// How many people are enrolled, with made-up templates.
    #[arg(long, default_value_t = 100)]
    people: usize,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: ShippedRules,
}

/// What was measured. Times are CPU milliseconds a frame unless they say `wall`.
#[derive(Debug, Serialize)]
struct Figures {
    name: &'static str,
    frames: u64,
    faces: u64,
    parked: u64,
    frames_per_second: f64,
    cpu_ms_per_frame: f64,
    wall_ms_per_frame: f64,
    stages: Stages,
    /// The share of the CPU time that is neither decoding nor inference, 0 to 1.
    neither_decoding_nor_inference: f64,
    /// The share of the CPU time that is not inference, 0 to 1.
    not_inference: f64,
    models: String,
}

/// Milliseconds a frame.
#[derive(Debug, Serialize)]
struct Stages {
    decode: f64,
    prepare: f64,
    detect: f64,
    decode_outputs: f64,
    align: f64,
    embed: f64,
    rules: f64,
    /// Kafka, tracking, search, publishing.
    rest: f64,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let (figures, sent) = measure(arguments)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        print(&figures);
    }
    Ok(if figures.frames == sent { DONE } else { FAILED })
}

/// CPU seconds of a frame, as `run` would take them: for sizing.
pub fn cost(folder: &Path, rules: &ShippedRules) -> Result<Cost> {
    let arguments = Arguments {
        folder: folder.to_owned(),
        workers: 1,
        tracked: true,
        max_side: None,
        people: 100,
        json: false,
        rules: rules.clone(),
    };
    let (figures, sent) = measure(&arguments)?;
    if figures.frames < sent {
        bail!("only {} of {sent} frames were done", figures.frames);
    }
    Ok(Cost { seconds_per_frame: figures.cpu_ms_per_frame / 1e3, frames: figures.frames })
}

/// What a frame costs on this machine.
pub struct Cost {
    /// CPU seconds.
    pub seconds_per_frame: f64,
    /// Frames measured.
    pub frames: u64,
}

/// The figures, and how many frames there were to process.
fn measure(arguments: &Arguments) -> Result<(Figures, u64)> {
    let folder = tempfile::Builder::new().prefix("everyframe-bench-").tempdir()?;
    let runtime = super::runtime()?;
    let mut broker = start_broker(folder.path())?;
    let mut more = format!(
        "\n[observe]\nlag_interval_s = 0\n[intake]\nworkers = {}\n[vision.embedder]\nevery_face = {}\n",
        arguments.workers, !arguments.tracked
    );
    if let Some(max_side) = arguments.max_side {
        more += &format!("[vision.detector]\nmax_side = {max_side}\n");
    }
    let loaded = Loaded::read(&write_config(folder.path(), &broker.address, &arguments.rules, &more)?)?;
    let config = &loaded.config;
    create_topics(&mut broker, config, runtime)?;

    let producer = Producer::new(&config.kafka)?;
    let mut sent = 0;
    for camera in cameras(&arguments.folder)? {
        let id = camera.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let destination = Destination {
            camera: everyframe_types::id::clean(&id),
            topic: config.topics.frames.clone(),
            kafka: config.kafka.clone(),
            spool: folder.path().join("spool"),
            spool_bytes: 1 << 30,
        };
        let agent = Agent { destination, rate: None, repeat: false };
        let mut source = Source::open(&SourceAddress::from(camera.as_path()), 90)?.as_recording();
        // The topics are there.
        let tally = agent.run(&mut source, Box::new(|| Ok(())), &AtomicBool::new(false))?;
        sent += tally.acknowledged;
    }
    if sent == 0 {
        bail!("{}: no frames in it", arguments.folder.display());
    }

    let models = {
        let vision = everyframe_vision::Vision::load(&config.vision, &super::cache_folder()?)?;
        enrol_made_up_people(
            arguments.people,
            &vision.models().embedder.sha256,
            &producer,
            &config.topics.gallery,
        )?;
        vision.models().to_string()
    };
    let rules = Rules::load(&config.rules, runtime.handle().clone(), Some(&super::code_cache()?))?;
    let stop = Arc::new(AtomicBool::new(false));
    let host = Host::start(config, rules, &super::cache_folder()?, stop.clone())?;
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
    match ran {
        Ok(result) => result?,
        Err(_) => bail!("the host panicked"),
    }
    let (totals, spent) = host.end();
    Ok((figures(&totals, &spent, took, models), sent))
}

/// The folder itself, or its folders if it has any.
fn cameras(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => bail!("{}: {error}", folder.display()),
    };
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(if folders.is_empty() { vec![folder.to_owned()] } else { folders })
}

/// Made-up templates point in directions that depend on their number alone.
fn enrol_made_up_people(count: usize, model: &str, producer: &Producer, topic: &str) -> Result<()> {
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
        };
        store_sample(producer, topic, "0", &sample)?;
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

fn print(figures: &Figures) {
    println!("{}", figures.models);
    println!("frames    {} ({} parked), faces {}", figures.frames, figures.parked, figures.faces);
    println!(
        "speed     {:.1} frames/s, {:.2} ms CPU a frame",
        figures.frames_per_second, figures.cpu_ms_per_frame
    );
    let stages = &figures.stages;
    for (name, milliseconds) in [
        ("decode", stages.decode),
        ("prepare", stages.prepare),
        ("detect", stages.detect),
        ("locate", stages.decode_outputs),
        ("align", stages.align),
        ("embed", stages.embed),
        ("rules", stages.rules),
        ("rest", stages.rest),
    ] {
        let share = 100.0 * milliseconds / figures.cpu_ms_per_frame;
        println!("  {name:<8}{milliseconds:>8.3} ms {share:>6.1} %");
    }
    println!("not inference                   {:>5.1} %", 100.0 * figures.not_inference);
    println!("neither decoding nor inference  {:>5.1} %", 100.0 * figures.neither_decoding_nor_inference);
}
