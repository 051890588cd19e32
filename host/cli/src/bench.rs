//! `everyframe bench`: the whole pipeline on a folder of frames, Kafka, rules and publishing included.

use super::broker::{ShippedRules, create_topics, start_broker, write_config};
use super::{DONE, FAILED};
use anyhow::{Context as _, Result, bail};
use everyframe_config::{Config, Loaded};
use everyframe_kafka::Reader;
use everyframe_measure::{Figures, Setup};
use everyframe_types::record::IncomingRecord as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "The broker is a process of its own and not counted; everything else is.\n\
    For figures on one core: taskset -c 0 everyframe bench FOLDER")]
pub struct Arguments {
    /// A folder with JPEG frames; or with one such folder for each camera.
    folder: PathBuf,
    /// Vision workers.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Search and embed as `run` does; without it, every frame is searched as a whole, and every face is embedded.
    #[arg(long)]
    tracked: bool,
    /// Look for faces at no more than this many pixels on the longer side; without it, as `run` does.
    #[arg(long, value_name = "PIXELS")]
    max_side: Option<u32>,
    /// How many people are enrolled, with made-up templates.
    #[arg(long, default_value_t = 100)]
    people: usize,
    /// Write every frame's result to this file, one JSON line each.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: ShippedRules,
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
        results: None,
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
    more += "[vision.detector]\n";
    if !arguments.tracked {
        more += "full_search_every = 1\n";
    }
    if let Some(max_side) = arguments.max_side {
        more += &format!("max_side = {max_side}\n");
    }
    let mut loaded = Loaded::read(&write_config(folder.path(), &broker.address, &arguments.rules, &more)?)?;
    create_topics(&mut broker, &loaded.config, runtime)?;
    let rules = super::config::load_rules(&mut loaded, runtime)?;
    let setup = Setup {
        config: &loaded.config,
        frames: &arguments.folder,
        people: arguments.people,
        cache: &super::cache_folder()?,
        spool: &folder.path().join("spool"),
    };
    let measured = everyframe_measure::measure(&setup, rules)?;
    if let Some(file) = &arguments.results {
        write_results(&loaded.config, file).with_context(|| file.display().to_string())?;
    }
    Ok(measured)
}

/// Writes the results topic to a file, one JSON line for each frame.
fn write_results(config: &Config, file: &Path) -> Result<()> {
    let mut lines = BufWriter::new(File::create(file)?);
    let mut results = Reader::from_start(&config.kafka, &config.topics.results)?;
    while let Some(record) = results.next()? {
        lines.write_all(record.value().unwrap_or_default())?;
        lines.write_all(b"\n")?;
    }
    Ok(lines.flush()?)
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
