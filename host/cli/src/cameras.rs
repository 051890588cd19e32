//! `everyframe cameras`

use super::camera::{Setup, spool_folder};
use super::camera_list::{Listed, list_cameras, render_list};
use super::{Connection, DONE, FAILED, WrongInput};
use anyhow::{Context as _, Result};
use everyframe_agent::{CameraState, Reading, Source, SourceAddress, SourceOptions};
use everyframe_config::Config;
use everyframe_types::frame::SourceKind;
use everyframe_types::machine::unix_ms;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long `check` counts pictures.
const CHECK_TIME: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run an agent for each camera of `[[cameras]]`, each in a process of its own. One that ends is started again. When the
    /// configuration changes, only the cameras that it concerns are started or stopped.
    Run(super::camera_supervisor::Arguments),
    /// Show how the cameras of `[[cameras]]` are, whose agents run on this machine. Exit status 1 if one is not fine.
    List {
        /// The folder of the agents' spools. By default `spool` in EVERYFRAME_STATE, else in `~/.local/state/everyframe`.
        #[arg(long, value_name = "FOLDER")]
        spool: Option<PathBuf>,
        /// One JSON object for each camera.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Say what is at an address, or at that of a camera of `[[cameras]]`, and save one picture. Sends nothing.
    Check {
        /// An address, or the id of a camera.
        #[arg(value_name = "ADDRESS or ID")]
        camera: String,
        /// Where to save the picture.
        #[arg(long, value_name = "FILE", default_value = "camera-check.jpg")]
        out: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Arguments {
    /// True if the command reads a camera in this process.
    pub fn decodes(&self) -> bool {
        matches!(self.command, Command::Check { .. })
    }
}

pub fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::Run(arguments) => super::camera_supervisor::run(&arguments),
        Command::List { spool, json, connection } => list(&connection.config()?, &spool_folder(spool)?, json),
        Command::Check { camera, out, connection } => check(&camera, &out, &connection),
    }
}

fn list(config: &Config, folder: &Path, json: bool) -> Result<u8> {
    if config.cameras.is_empty() {
        return Err(WrongInput("the configuration has no `[[cameras]]`".into()).into());
    }
    let cameras = list_cameras(&config.cameras, folder);
    if json {
        for Listed { id, state, status } in &cameras {
            println!("{}", serde_json::json!({ "camera": id, "state": state, "status": status }));
        }
    } else {
        print!("{}", render_list(&cameras, unix_ms()));
    }
    let is_fine = cameras.iter().all(|camera| camera.state == CameraState::Fine.as_str());
    Ok(if is_fine { DONE } else { FAILED })
}

fn check(camera: &str, out: &Path, connection: &Connection) -> Result<u8> {
    let configured = match connection.file() {
        Some(_) => connection.config()?.cameras.into_iter().find(|known| known.id == camera),
        None => None,
    };
    let (address, options) = match configured {
        Some(_) => {
            let setup = Setup::find(camera, connection)?;
            (setup.address, setup.options)
        }
        None => (SourceAddress::new(camera), SourceOptions::default()),
    };
    let mut source = Source::open(&address, &options)?;
    let (mut first, mut count, mut damaged) = (None, 0u32, 0u32);
    let mut begun: Option<Instant> = None;
    let patience = Instant::now() + options.connect_timeout + options.read_timeout;
    while begun.map_or(Instant::now() < patience, |begun| begun.elapsed() < CHECK_TIME) {
        match source.read()? {
            Reading::Picture(picture) => {
                if first.is_none() {
                    begun = Some(Instant::now());
                    first = Some(picture.bytes);
                } else {
                    count += 1;
                }
            }
            Reading::Damaged => damaged += 1,
            Reading::Nothing | Reading::Opened => {}
            Reading::Lost(fault) => anyhow::bail!("{address}: {fault}"),
            Reading::End => break,
        }
    }
    let Some(picture) = first else { anyhow::bail!("{}", source.no_picture_error()) };
    std::fs::write(out, &picture).with_context(|| format!("{} cannot be written", out.display()))?;
    let size = everyframe_vision::picture_size(&picture);
    let size = size.map_or("unknown size".to_owned(), |(width, height)| format!("{width} × {height}"));
    let kind = match source.kind() {
        SourceKind::Live => {
            format!("{:.0} fps", f64::from(count) / CHECK_TIME.as_secs_f64())
        }
        _ => "a recording".to_owned(),
    };
    let damaged = if damaged > 0 { format!(", {damaged} damaged pictures") } else { String::new() };
    println!(
        "{address}: {} {size}, {kind}{damaged}; one picture saved to {}",
        codec_name(source.codec()),
        out.display()
    );
    Ok(DONE)
}

/// A codec's name as people write it.
fn codec_name(codec: &str) -> &str {
    match codec {
        "h264" => "H.264",
        "hevc" => "H.265",
        "mjpeg" => "motion JPEG",
        codec => codec,
    }
}
