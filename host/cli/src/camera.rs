//! `everyframe camera`

use super::{Connection, DONE, FAILED, WrongInput, logging};
use anyhow::Result;
use everyframe_agent::{
    Agent, AgentSummary, Destination, STOPPED_WAIT, Source, SourceAddress, SourceOptions, WatchSettings,
};
use everyframe_config::{
    CameraSettings, Config, DamagedPolicy, DecodingDevice, Property, SlowPolicy, Transport,
};
use everyframe_kafka::{create_missing_topics, read_configuration};
use everyframe_privacy::KeyRing;
use everyframe_types::id;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    everyframe camera --id gate-1 rtsp://10.0.0.7/stream\n  \
    everyframe camera --id test --rate 10 --loop clip.mp4\n  \
    everyframe camera --id door --brokers kafka-1:9092 --spool-bytes 20GB /dev/video0\n  \
    everyframe camera --id yard --source-file /etc/everyframe/yard.address\n  \
    everyframe camera --id gate-1 --configured\n\n\
    Every user of this machine can see the arguments of its processes (`ps`). Give an address with a password by \
    --source-env or --source-file; logs and errors never show it.\n\n\
    Files of a folder, and parts of a video, that are not pictures are skipped with a warning and counted. JPEG is sent \
    unchanged; other video is decoded, and encoded as JPEG.\n\n\
    A camera that is off is waited for. When it is away, frozen or black, and when pictures are damaged, the topic is told.\n\n\
    While the broker is away, frames go to the spool, and from there to the broker when it is back, also after a crash. \
    When the spool is full, a file or folder without --rate waits; other sources go on, their frames are refused, and \
    the topic is told which.")]
#[command(group(clap::ArgGroup::new("address").required(true).args(["source", "source_env", "source_file", "configured"])))]
pub struct Arguments {
    /// A video or picture file, a folder of pictures (sent in the order of their names, numbers by value), a device
    /// (`0`, `/dev/video0`), or an rtsp:// or http:// address: of a stream, a recording, or a single picture, which is asked
    /// for again and again.
    source: Option<String>,
    /// Read the source's address from this environment variable.
    #[arg(long, value_name = "NAME")]
    source_env: Option<String>,
    /// Read the source's address from this file; a line end after it is ignored.
    #[arg(long, value_name = "PATH")]
    source_file: Option<PathBuf>,
    /// Take the address, and all that follows except the spool, from `[[cameras]]` in the configuration.
    #[arg(long)]
    configured: bool,
    /// The camera's id: the key of its frames. At most 128 bytes, without control and invisible characters.
    #[arg(long, value_parser = parse_camera_id)]
    id: String,
    /// Send a recording or a folder at this many frames per second, and compute the frames' times from it. Without it,
    /// frames are sent as fast as the broker takes them, and those of a recording have the recording's own times. Of a
    /// camera, as --max-fps.
    #[arg(long, value_name = "FPS", value_parser = rate)]
    rate: Option<f64>,
    /// Start over at the end of a file or folder.
    #[arg(long = "loop")]
    repeat: bool,
    /// JPEG quality, for pictures that are not JPEG, PNG or WebP already.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i32).range(1..=100))]
    quality: i32,
    /// Send at most this many frames per second; the others are left out. A single picture is asked for so often (by
    /// default once a second).
    #[arg(long, value_name = "FPS", value_parser = rate)]
    max_fps: Option<f64>,
    /// Scale pictures with a longer side down, pixels.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(16..=16384))]
    max_side: Option<u32>,
    /// How the pictures of an RTSP stream travel: tcp loses nothing, udp is quicker.
    #[arg(long, default_value = "tcp", value_parser = transport)]
    transport: Transport,
    /// What decodes video that is not motion JPEG: software, cuda, vaapi, or auto for the first of these devices that is
    /// there. If the device cannot, it is decoded in software, with a warning.
    #[arg(long, value_name = "DEVICE", default_value = "software", value_parser = decoder)]
    decoder: DecodingDevice,
    /// How long the camera may take to answer, and how long nothing may come before it is connected anew, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
    /// Damaged pictures: withhold them, or send them with a mark (the header everyframe-damaged).
    #[arg(long, default_value = "withhold", value_parser = damaged)]
    damaged: DamagedPolicy,
    /// Pictures of a camera for which this agent is too slow: drop them, or keep them, late.
    #[arg(long, default_value = "drop", value_parser = slow)]
    when_slow: SlowPolicy,
    /// Tell the topic that the camera is away when no picture came for this long, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    silent_after: f64,
    /// Tell the topic that the camera is frozen when its picture stayed the same for this long, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    frozen_after: f64,
    /// Tell the topic that the picture was black for this long, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    black_after: f64,
    /// Folder for the frames that the broker has not taken yet, one file for each camera. By default `spool` in
    /// EVERYFRAME_STATE, else in `~/.local/state/everyframe`.
    #[arg(long, value_name = "FOLDER")]
    spool: Option<PathBuf>,
    /// How much the spool may take of the disk: bytes, or with kB, MB, GB, KiB, MiB, GiB.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    spool_bytes: u64,
    /// After SIGTERM, how long to wait for the broker to acknowledge the last frames, seconds. What it has not acknowledged then
    /// waits in the spool.
    #[arg(long, value_name = "SECONDS", default_value_t = STOPPED_WAIT.as_secs_f64(), value_parser = seconds)]
    stop_wait: f64,
    #[command(flatten)]
    connection: Connection,
}

/// How a camera is read.
pub(super) struct Setup {
    pub address: SourceAddress,
    pub options: SourceOptions,
    pub watch: WatchSettings,
}

impl Setup {
    /// As `[[cameras]]` says. The address was read from its place.
    pub fn of_configured(camera: &CameraSettings) -> Self {
        let timeout = Duration::from_secs_f64(camera.timeout_s);
        Self {
            address: SourceAddress::new(camera.source.text()),
            options: SourceOptions {
                quality: camera.quality,
                transport: camera.transport,
                max_fps: camera.max_fps,
                max_side: camera.max_side,
                device: camera.decoder,
                connect_timeout: timeout,
                read_timeout: timeout,
                damaged: camera.damaged,
                slow: camera.when_slow,
                is_camera: true,
            },
            watch: WatchSettings {
                silent_after: Duration::from_secs_f64(camera.silent_after_s),
                frozen_after: Duration::from_secs_f64(camera.frozen_after_s),
                black_after: Duration::from_secs_f64(camera.black_after_s),
            },
        }
    }

    /// The camera of this id in the configuration file.
    pub fn find(id: &str, connection: &Connection) -> Result<Self> {
        let unknown = || WrongInput(format!("no `[[cameras]]` in the configuration has the id {id}"));
        let loaded = read_configuration(&connection.file().ok_or_else(unknown)?)?;
        Ok(Self::of_configured(&loaded.resolve_camera(id)?.ok_or_else(unknown)?))
    }
}

impl Arguments {
    fn setup(&self) -> Result<Setup> {
        if self.configured {
            return Setup::find(&self.id, &self.connection);
        }
        let address = self.address()?;
        let timeout = Duration::from_secs_f64(self.timeout);
        let options = SourceOptions {
            quality: self.quality,
            transport: self.transport,
            max_fps: self.max_fps.or(self.rate.filter(|_| address.may_be_live())),
            max_side: self.max_side,
            device: self.decoder,
            connect_timeout: timeout,
            read_timeout: timeout,
            damaged: self.damaged,
            slow: self.when_slow,
            is_camera: false,
        };
        let watch = WatchSettings {
            silent_after: Duration::from_secs_f64(self.silent_after),
            frozen_after: Duration::from_secs_f64(self.frozen_after),
            black_after: Duration::from_secs_f64(self.black_after),
        };
        Ok(Setup { address, options, watch })
    }

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

/// The folder of spools and of the cameras' status: as given, or the default one.
pub(super) fn spool_folder(given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(folder) => Ok(folder),
        None => Ok(super::state_folder()?.join("spool")),
    }
}

pub fn run(arguments: Arguments) -> Result<u8> {
    let config = arguments.connection.config()?;
    let Setup { address, options, watch } = arguments.setup()?;
    let mut source = Source::wait_for(&address, &options)?;
    let runtime = super::runtime()?;
    // Before this, a signal ends the process at once.
    let stop = super::stop_on_signal(runtime);
    let mut kafka = config.kafka.clone();
    // librdkafka's ten seconds would be as long again as many an outage.
    kafka.properties.entry("reconnect.backoff.max.ms".into()).or_insert_with(|| "2000".into());
    let agent = Agent {
        destination: Destination {
            camera: arguments.id,
            topic: config.topics.frames.clone(),
            kafka: kafka.clone(),
            spool: spool_folder(arguments.spool)?,
            spool_bytes: arguments.spool_bytes,
            ring: Arc::new(KeyRing::load(&config.privacy)?),
        },
        rate: arguments.rate,
        repeat: arguments.repeat,
        watch,
        stopped_wait: Duration::from_secs_f64(arguments.stop_wait),
    };
    let config = Config { kafka, ..config };
    let handle = runtime.handle().clone();
    let prepare = Box::new(move || handle.block_on(create_missing_topics(&config)));
    let summary = agent.run(&mut source, prepare, &stop)?;
    println!("{}", render_summary(&agent.destination.camera, &summary));
    if let (1.., Some(spool)) = (summary.in_spool, &summary.spool) {
        let count = summary.in_spool;
        logging::print_message(&format!(
            "everyframe: {count} frames wait in {}; the next start sends them",
            spool.display()
        ));
    }
    Ok(if summary.read == summary.acknowledged && summary.in_spool == 0 { DONE } else { FAILED })
}

fn render_summary(camera: &str, summary: &AgentSummary) -> String {
    let mut line = format!("{camera}: {} frames read · {} acknowledged", summary.read, summary.acknowledged);
    for (count, what) in [
        (summary.in_spool, "in the spool"),
        (summary.refused, "refused"),
        (summary.skipped, "skipped"),
        (summary.damaged, "damaged"),
        (summary.dropped, "left out, too slow"),
    ] {
        if count > 0 {
            line += &format!(" · {count} {what}");
        }
    }
    line
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

fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "tcp" => Ok(Transport::Tcp),
        "udp" => Ok(Transport::Udp),
        _ => Err("give tcp or udp".into()),
    }
}

fn decoder(text: &str) -> Result<DecodingDevice, String> {
    match text {
        "software" => Ok(DecodingDevice::Software),
        "auto" => Ok(DecodingDevice::Auto),
        "cuda" => Ok(DecodingDevice::Cuda),
        "vaapi" => Ok(DecodingDevice::Vaapi),
        _ => Err("give software, auto, cuda or vaapi".into()),
    }
}

fn damaged(text: &str) -> Result<DamagedPolicy, String> {
    match text {
        "withhold" => Ok(DamagedPolicy::Withhold),
        "mark" => Ok(DamagedPolicy::Mark),
        _ => Err("give withhold or mark".into()),
    }
}

fn slow(text: &str) -> Result<SlowPolicy, String> {
    match text {
        "drop" => Ok(SlowPolicy::Drop),
        "keep" => Ok(SlowPolicy::Keep),
        _ => Err("give drop or keep".into()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.5..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds from 0.5 to 86400".into()),
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
