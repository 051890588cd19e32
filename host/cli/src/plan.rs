//! `everyframe plan`

use super::broker::ShippedRules;
use super::{DONE, bench, when};
use anyhow::{Context as _, Result};
use everyframe_account::sizing;
use everyframe_account::sizing::{Demand, Plan};
use everyframe_agent::{Source, SourceAddress, SourceOptions};
use everyframe_types::machine::cores;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  everyframe plan --cameras 100 --fps 10 --frame-kb 80 --seconds-per-frame 0.02
  everyframe plan --cameras 100 --fps 10 --measure           # the footage in the cache, on this machine
  everyframe plan --cameras 100 --fps 10 --measure frames/   # your own JPEG frames")]
pub struct Arguments {
    /// How many cameras.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    cameras: u32,
    /// Frames a second of each.
    #[arg(long, value_parser = positive)]
    fps: f64,
    /// Mean size of a frame, kB; with --measure, that of the frames measured.
    #[arg(long, value_name = "KB", value_parser = positive, required_unless_present = "measure")]
    frame_kb: Option<f64>,
    /// Processor seconds that a frame takes on one core.
    #[arg(long, value_name = "SECONDS", value_parser = positive, required_unless_present = "measure")]
    seconds_per_frame: Option<f64>,
    /// Measure that on this machine, with these JPEG frames; without a folder, with the footage in the cache.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, conflicts_with = "seconds_per_frame")]
    measure: Option<Option<PathBuf>>,
    /// The share of its time that a consumer may be busy.
    #[arg(long, default_value_t = 0.7, value_parser = share)]
    target_load: f64,
    /// The longest outage of all hosts in which no frame may be lost.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = when::duration)]
    outage: Duration,
    /// Copies of each record.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    replication: u32,
    /// What a broker takes in and copies, MB a second.
    #[arg(long, value_name = "MB", default_value_t = 60.0, value_parser = positive)]
    broker_mb_s: f64,
    /// Cores of a host that are for frames; without it, as many as this machine has.
    #[arg(long, value_name = "CORES", value_parser = clap::value_parser!(u32).range(1..))]
    cores_per_host: Option<u32>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: ShippedRules,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let (mut seconds_per_frame, mut frame_kb) = (arguments.seconds_per_frame, arguments.frame_kb);
    if let Some(folder) = &arguments.measure {
        let measured = measure(folder.as_deref(), &arguments.rules)?;
        seconds_per_frame = Some(measured.seconds_per_frame);
        frame_kb = frame_kb.or(Some(measured.frame_kb));
        if !arguments.json {
            println!(
                "measured   {} frames of {:.1} kB: {} s of a core each, as `run` takes them by default",
                measured.frames,
                measured.frame_kb,
                short(measured.seconds_per_frame)
            );
        }
    }
    let demand = Demand {
        cameras: arguments.cameras,
        fps: arguments.fps,
        frame_bytes: frame_kb.context("give --frame-kb")? * 1e3,
        seconds_per_frame: seconds_per_frame.context("give --seconds-per-frame")?,
        target_load: arguments.target_load,
        outage: arguments.outage.as_secs_f64(),
        replication: arguments.replication,
        broker_bytes: arguments.broker_mb_s * 1e6,
        cores_per_host: arguments
            .cores_per_host
            .unwrap_or_else(|| u32::try_from(cores()).unwrap_or(u32::MAX)),
    };
    let plan = sizing::plan(&demand);
    if arguments.json {
        println!("{}", serde_json::json!({ "demand": demand, "plan": plan }));
    } else {
        print!("{}", render(&demand, &plan));
    }
    Ok(DONE)
}

struct Measured {
    frames: u64,
    frame_kb: f64,
    seconds_per_frame: f64,
}

fn measure(folder: Option<&Path>, rules: &ShippedRules) -> Result<Measured> {
    let made;
    let folder = match folder {
        Some(folder) => folder,
        None => {
            made = footage()?;
            made.path()
        }
    };
    let cost = bench::cost(folder, rules)?;
    let (files, bytes) = size(folder)?;
    let frame_kb = bytes as f64 / 1e3 / files.max(1) as f64;
    Ok(Measured { frames: cost.frames, frame_kb, seconds_per_frame: cost.seconds_per_frame })
}

/// The clips in the cache as JPEG frames, a folder for each.
fn footage() -> Result<tempfile::TempDir> {
    let clips = super::cache_folder()?.join("footage");
    let folder = tempfile::Builder::new().prefix("everyframe-plan-").tempdir()?;
    let entries = std::fs::read_dir(&clips).with_context(|| {
        format!("no footage in {}; `make setup` fetches it, or name a folder", clips.display())
    })?;
    for clip in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if !clip.extension().is_some_and(|extension| extension == "mp4" || extension == "mov") {
            continue;
        }
        let into = folder.path().join(clip.file_stem().unwrap_or_default());
        std::fs::create_dir(&into)?;
        let mut source = Source::open(&SourceAddress::from(clip.as_path()), &SourceOptions::default())?;
        let mut number = 0;
        while let Some(picture) = source.next_picture()? {
            std::fs::write(into.join(format!("{number:06}.jpg")), picture.bytes)?;
            number += 1;
        }
    }
    Ok(folder)
}

/// Files and bytes in a folder and its folders.
fn size(folder: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (more_files, more_bytes) = match entry.metadata()? {
            found if found.is_dir() => size(&entry.path())?,
            found => (1, found.len()),
        };
        files += more_files;
        bytes += more_bytes;
    }
    Ok((files, bytes))
}

/// Each formula, the numbers put in, and what comes of it.
fn render(demand: &Demand, plan: &Plan) -> String {
    let Demand { cameras, fps, replication, target_load, cores_per_host, .. } = demand;
    let (seconds, rate) = (short(demand.seconds_per_frame), short(plan.frames_per_second));
    let (mb, broker_mb) = (short(plan.bytes_per_second / 1e6), short(demand.broker_bytes / 1e6));
    let outage = when::format_duration(Duration::from_secs_f64(demand.outage));
    let retention = when::format_duration(plan.retention_time());
    let mut text = String::new();
    let mut line = |what: &str, formula: String, result: String| {
        text += &format!("{what:<11} {formula} = {result}\n");
    };
    line("arrival", format!("{cameras} cameras × {} fps", short(*fps)), format!("{rate} frames/s"));
    line("", format!("{rate} frames/s × {} kB", short(demand.frame_bytes / 1e3)), format!("{mb} MB/s"));
    line(
        "consumers",
        format!("{rate} frames/s × {seconds} s"),
        format!("{} before head-room", plan.consumers_busy),
    );
    line(
        "",
        format!("{rate} frames/s × {seconds} s ÷ {target_load} target load"),
        format!("{}, a core each", plan.consumers),
    );
    line("hosts", format!("{} consumers ÷ {cores_per_host} cores", plan.consumers), plan.hosts.to_string());
    line(
        "partitions",
        format!(
            "the greater of {} × {} hosts and {mb} MB/s ÷ {} MB/s",
            sizing::PARTITIONS_PER_HOST,
            plan.hosts,
            short(sizing::PARTITION_BYTES / 1e6)
        ),
        plan.partitions.to_string(),
    );
    line(
        "brokers",
        format!("{mb} MB/s × {replication} copies ÷ {broker_mb} MB/s, at least {replication}"),
        plan.brokers.to_string(),
    );
    line(
        "retention",
        format!("{outage} outage × {}", sizing::RETENTION_RESERVE),
        format!("{retention} (retention.ms = {:.0})", plan.retention * 1e3),
    );
    line(
        "",
        format!("{mb} MB/s × {retention} ÷ {} partitions × {}", plan.partitions, sizing::UNEVEN),
        format!(
            "{} a partition (retention.bytes = {:.0})",
            size_of(plan.retention_bytes),
            plan.retention_bytes
        ),
    );
    line(
        "disk",
        format!(
            "{mb} MB/s × {retention} × {replication} copies ÷ {} brokers ÷ {}",
            plan.brokers,
            sizing::DISK_USE
        ),
        format!("{} a broker", size_of(plan.disk_per_broker)),
    );
    let capacity = plan.consumers as f64 / demand.seconds_per_frame;
    line(
        "catching up",
        format!("{outage} × {rate} ÷ ({} − {rate}) frames/s", short(capacity)),
        when::format_duration(Duration::try_from_secs_f64(plan.catch_up).unwrap_or(Duration::MAX)),
    );
    text
}

/// A number with as many digits as say something.
fn short(number: f64) -> String {
    let digits = match number.abs() {
        1000.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        _ => 4,
    };
    let text = format!("{number:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn size_of(bytes: f64) -> String {
    match bytes {
        1e12.. => format!("{:.1} TB", bytes / 1e12),
        1e9.. => format!("{:.1} GB", bytes / 1e9),
        _ => format!("{:.0} MB", bytes / 1e6),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| (1e-6..1e9).contains(number)).ok_or("give a number above 0".into())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.01..=0.99).contains(share))
        .ok_or("give a share from 0.01 to 0.99".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_show_their_numbers() {
        let demand = Demand {
            cameras: 1,
            fps: 10.0,
            frame_bytes: 100e3,
            seconds_per_frame: 0.5,
            target_load: 0.7,
            outage: 86_400.0,
            replication: 3,
            broker_bytes: 60e6,
            cores_per_host: 4,
        };
        let text = render(&demand, &sizing::plan(&demand));
        assert!(text.contains("10 frames/s × 0.5 s = 5 before head-room\n"), "{text}");
        assert!(text.contains("10 frames/s × 0.5 s ÷ 0.7 target load = 8, a core each\n"), "{text}");
        assert!(text.contains("1 d 0 h outage × 1.25 = 1 d 6 h (retention.ms = 108000000)\n"), "{text}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(["1000", "12.5", "0.5", "0.0097"], [1000.0, 12.5, 0.5, 0.0097].map(short)[..]);
    }
}
