//! `everyframe camera`

use super::{Connection, DONE, FAILED, WrongInput, logging};
use anyhow::Result;
use everyframe_agent::{Agent, Destination, Source, SourceAddress};
use everyframe_config::{Config, Property};
use everyframe_kafka::ensure;
use everyframe_privacy::KeyRing;
use everyframe_types::id;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    everyframe camera --id gate-1 rtsp://10.0.0.7/stream\n  \
    everyframe camera --id test --rate 10 --loop clip.mp4\n  \
    everyframe camera --id door --brokers kafka-1:9092 --spool-bytes 20GB /dev/video0\n  \
    everyframe camera --id yard --source-file /etc/everyframe/yard.address\n\n\
    Every user of this machine can see the arguments of its processes (`ps`). Give an address with a password by \
    --source-env or --source-file; logs and errors never show it.\n\n\
    Files of a folder, and parts of a video, that are not pictures are skipped with a warning and counted.\n\n\
    While the broker is away, frames go to the spool, and from there to the broker when it is back, also after a crash. \
    When the spool is full, a file or folder without --rate waits; other sources go on, their frames are refused, and \
    the topic is told which.")]
#[command(group(clap::ArgGroup::new("address").required(true).args(["source", "source_env", "source_file"])))]
pub struct Arguments {
    /// A video or picture file, a folder of pictures (sent in the order of their names, numbers by value), a device
    /// (`0`, `/dev/video0`), or an rtsp:// or http:// address.
    source: Option<String>,
    /// Read the source's address from this environment variable.
    #[arg(long, value_name = "NAME")]
    source_env: Option<String>,
    /// Read the source's address from this file; a line end after it is ignored.
    #[arg(long, value_name = "PATH")]
    source_file: Option<PathBuf>,
    /// The camera's id: the key of its frames. At most 128 bytes, without control and invisible characters.
    #[arg(long, value_parser = parse_camera_id)]
    id: String,
    /// Send a recording or a folder at this many frames per second, and compute the frames' times from it. Without it,
    /// frames are sent as fast as the broker takes them, and those of a recording have the recording's own times.
    #[arg(long, value_name = "FPS", value_parser = rate)]
    rate: Option<f64>,
    /// Start over at the end of a file or folder.
    #[arg(long = "loop")]
    repeat: bool,
    /// JPEG quality, for pictures that are not JPEG, PNG or WebP already.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i32).range(1..=100))]
    quality: i32,
    /// Folder for the frames that the broker has not taken yet, one file for each camera. By default `spool` in
    /// EVERYFRAME_STATE, else in `~/.local/state/everyframe`.
    #[arg(long, value_name = "FOLDER")]
    spool: Option<PathBuf>,
    /// How much the spool may take of the disk: bytes, or with kB, MB, GB, KiB, MiB, GiB.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    spool_bytes: u64,
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    /// The source's address, from the argument, the variable or the file that the user chose.
    fn address(&self) -> Result<SourceAddress> {
        let kept_elsewhere = match (&self.source, &self.source_env, &self.source_file) {
            (Some(source), ..) => {
                let address = SourceAddress::new(source);
                if address.has_secret() {
                    tracing::warn!(
                        camera = self.id,
                        "{address}: the password is on the command line, where `ps` shows it to every user of \
                         this machine; give the address by --source-env or --source-file"
                    );
                }
                return Ok(address);
            }
            (None, Some(name), _) => {
                Property::from_environment(name).map_err(|error| format!("--source-env: {error}"))
            }
            (None, None, path) => Property::from_file(path.as_deref().unwrap_or(Path::new("")))
                .map_err(|error| format!("--source-file: {error}")),
        };
        Ok(SourceAddress::new(kept_elsewhere.map_err(WrongInput)?.text()))
    }
}

pub fn run(arguments: Arguments) -> Result<u8> {
    let config = arguments.connection.config()?;
    let address = arguments.address()?;
    let mut source = Source::open(&address, arguments.quality)?;
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(runtime);
    let spool = match arguments.spool {
        Some(folder) => folder,
        None => super::state_folder()?.join("spool"),
    };
    let mut kafka = config.kafka.clone();
    // librdkafka's ten seconds would be as long again as many an outage.
    kafka.properties.entry("reconnect.backoff.max.ms".into()).or_insert_with(|| "2000".into());
    let agent = Agent {
        destination: Destination {
            camera: arguments.id,
            topic: config.topics.frames.clone(),
            kafka: kafka.clone(),
            spool,
            spool_bytes: arguments.spool_bytes,
            ring: Arc::new(KeyRing::load(&config.privacy)?),
        },
        rate: arguments.rate,
        repeat: arguments.repeat,
    };
    let config = Config { kafka, ..config };
    let handle = runtime.handle().clone();
    let prepare = Box::new(move || handle.block_on(ensure(&config)));
    let tally = agent.run(&mut source, prepare, &stop)?;
    let camera = &agent.destination.camera;
    let mut line = format!("{camera}: {} frames read · {} acknowledged", tally.read, tally.acknowledged);
    let others = [(tally.in_spool, "in the spool"), (tally.refused, "refused"), (tally.skipped, "skipped")];
    for (count, what) in others {
        if count > 0 {
            line += &format!(" · {count} {what}");
        }
    }
    println!("{line}");
    if let (1.., Some(spool)) = (tally.in_spool, &tally.spool) {
        let count = tally.in_spool;
        logging::print_message(&format!(
            "everyframe: {count} frames wait in {}; the next start sends them",
            spool.display()
        ));
    }
    Ok(if tally.read == tally.acknowledged && tally.in_spool == 0 { DONE } else { FAILED })
}

/// A camera's id, normalised.
fn parse_camera_id(text: &str) -> Result<String, String> {
    id::parse(text, id::MAX_BYTES)
        .map_err(|fault| format!("the id {fault}; give a short name, such as gate-1"))
}

/// A number of bytes, as people write it.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(bytes @ 1..) => Ok(bytes),
        _ => Err("give bytes, or a number with kB, MB, GB, TB, KiB, MiB, GiB or TiB".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("give frames per second from 0.01 to 1000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_may_have_a_unit() {
        let sizes = ["4096", "500MB", "1GiB", "2 kb"].map(|text| size(text).ok());
        assert_eq!(sizes, [Some(4096), Some(500_000_000), Some(1 << 30), Some(2000)]);
        assert!(
            ["", "MB", "1.5GB", "0", "-1", "5 stones", "99999999999TB"]
                .iter()
                .all(|text| size(text).is_err())
        );
    }
}
