//! `everyframe demo`: everything at work on this machine, each part a process of its own as in earnest.

use super::broker::{ShippedRules, create_topics, start_broker, write_config};
use super::{DONE, FAILED};
use anyhow::{Context as _, Result, bail};
use everyframe_account::audit::{Report, audit};
use everyframe_agent::{Source, SourceAddress, SourceOptions};
use everyframe_config::{Config, Loaded};
use everyframe_privacy::write_secret;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The cameras, and the clip that each replays.
const CAMERAS: [(&str, &str); 4] = [
    ("lobby", "WolfgangLanger_Pexels.mp4"),
    ("gate-1", "face_noface.mov"),
    ("gate-2", "noface_face.mov"),
    ("yard", "no_face.mp4"),
];
/// The clip that enrols its man, and how many of its frames do.
const ENROLLED: (&str, &str, usize) = ("viktor", "single_face.mp4", 6);
const RATE: &str = "10";

#[derive(clap::Args)]
#[command(after_help = "Needs what `make setup` installs; `make demo` does all of it.\n\
    Ends by itself after the clips (about a minute), and with exit status 1 if a frame was lost.")]
pub struct Arguments {
    /// Let the cameras repeat their clips for so many seconds.
    #[arg(long, value_name = "N", conflicts_with = "forever")]
    seconds: Option<u64>,
    /// Let the cameras repeat their clips, and the dashboard stay, until Ctrl-C.
    #[arg(long)]
    forever: bool,
    /// The folder with the footage.
    #[arg(long, value_name = "FOLDER")]
    footage: Option<PathBuf>,
    #[command(flatten)]
    rules: ShippedRules,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let footage = match &arguments.footage {
        Some(folder) => folder.clone(),
        None => super::cache_folder()?.join("footage"),
    };
    let folder = tempfile::Builder::new().prefix("everyframe-demo-").tempdir()?;
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(runtime);
    let mut broker = start_broker(folder.path())?;
    let dashboard = dashboard_address()?;
    println!("dashboard http://{dashboard}");
    // Templates are encrypted here, too; the keys are gone with the folder.
    for key in ["encryption.key", "signing.key"] {
        write_secret(&folder.path().join(key))?;
    }
    let web = format!(
        "\n[web]\nlisten = \"{dashboard}\"\n\n[privacy]\nkeys = [{{ file = \"encryption.key\" }}]\n\
         signing_key = {{ file = \"signing.key\" }}\n"
    );
    let file = write_config(folder.path(), &broker.address, &arguments.rules, &web)?;
    let config = Loaded::read(&file)?.config;
    // Made while the broker starts.
    let pictures = pictures(folder.path(), &footage)?;
    create_topics(&mut broker, &config, runtime)?;
    println!("broker    {} (a node of Apache Kafka, data in {})", broker.address, folder.path().display());

    enrol(folder.path(), &file, &pictures)?;
    let mut host = ChildProcess::start("host", folder.path(), &["run", "--config", &file.to_string_lossy()])?;
    println!("host      {} with 3 rules", file.display());
    let repeat = arguments.forever || arguments.seconds.is_some();
    let mut cameras = start_cameras(folder.path(), &file, &footage, repeat)?;
    println!();

    let quiet = Arc::new(AtomicBool::new(false));
    let watching = std::thread::spawn({
        let (config, quiet) = (config.clone(), quiet.clone());
        move || super::watch::watch(&config, true, false, &quiet)
    });
    let until = arguments.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    while cameras.iter_mut().any(ChildProcess::is_running) {
        if stop.load(Ordering::Relaxed) || until.is_some_and(|until| Instant::now() > until) {
            cameras.iter_mut().for_each(ChildProcess::terminate);
        }
        host.check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    for camera in cameras {
        camera.finish()?;
    }
    let report = wait_until_processed(&config, &mut host)?;
    std::thread::sleep(Duration::from_millis(300));
    quiet.store(true, Ordering::Relaxed);
    let _ = watching.join();
    host.terminate();
    host.finish()?;
    Ok(print_report(&report))
}

/// Starts an agent for each camera. With `repeat`, each agent repeats its clip until it is stopped.
fn start_cameras(folder: &Path, file: &Path, footage: &Path, repeat: bool) -> Result<Vec<ChildProcess>> {
    let spool = folder.join("spool");
    let start = |(id, clip): &(&str, &str)| {
        let clip_path = footage.join(clip);
        println!("camera    {id:<12} {clip}, {RATE} frames/s");
        let (file, spool, clip_path) =
            (file.to_string_lossy(), spool.to_string_lossy(), clip_path.to_string_lossy());
        let mut words = vec!["camera", "--config", &file, "--spool", &spool];
        // The spool is deleted with the folder, so each agent waits until even a slow broker has every frame.
        words.extend(["--id", id, "--rate", RATE, "--stop-wait", "30", &clip_path]);
        if repeat {
            words.push("--loop");
        }
        ChildProcess::start(id, folder, &words)
    };
    CAMERAS.iter().map(start).collect()
}

/// Waits until the host has processed every frame, at most for a minute. Returns the last audit.
fn wait_until_processed(config: &Config, host: &mut ChildProcess) -> Result<Report> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut report = audit(config, None)?;
    while report.total.waiting > 0 && Instant::now() < deadline {
        host.check()?;
        std::thread::sleep(Duration::from_millis(500));
        report = audit(config, None)?;
    }
    Ok(report)
}

/// Prints the audit, and the sum. Returns the exit status.
fn print_report(report: &Report) -> u8 {
    let total = &report.total;
    let lost = total.missing + total.waiting + total.gaps;
    println!("\n{}", super::audit::table(report));
    println!(
        "frames {} · processed {} · lost {lost} · parked {} · repeated {}",
        total.sent, total.results, total.dead_letters, total.repeated
    );
    if lost == 0 && total.sent > 0 { DONE } else { FAILED }
}

/// The usual address of the dashboard; another port if that one is in use.
fn dashboard_address() -> Result<SocketAddr> {
    let listener =
        TcpListener::bind(everyframe_web::DEFAULT_ADDRESS).or_else(|_| TcpListener::bind("127.0.0.1:0"));
    Ok(listener.context("no free port for the dashboard")?.local_addr()?)
}

/// Takes some frames out of the clip of the man who is enrolled, as files.
fn pictures(folder: &Path, footage: &Path) -> Result<Vec<PathBuf>> {
    let (person, clip, count) = ENROLLED;
    let options = SourceOptions { quality: 95, ..SourceOptions::default() };
    let mut source = Source::open(&SourceAddress::from(footage.join(clip).as_path()), &options)?;
    let mut pictures = Vec::new();
    while let Some(picture) = source.next_picture()? {
        pictures.push(picture.bytes);
    }
    let step = (pictures.len() / count).max(1);
    let mut files = Vec::new();
    for (number, picture) in pictures.iter().step_by(step).take(count).enumerate() {
        let file = folder.join(format!("{person}-{number}.jpg"));
        std::fs::write(&file, picture)?;
        files.push(file);
    }
    Ok(files)
}

/// Enrols the man.
fn enrol(folder: &Path, config: &Path, pictures: &[PathBuf]) -> Result<()> {
    let (person, clip, count) = ENROLLED;
    let config = config.to_string_lossy();
    let pictures: Vec<String> = pictures.iter().map(|file| file.display().to_string()).collect();
    let mut words = vec!["enrol", person, "--config", &config];
    words.extend(pictures.iter().map(String::as_str));
    ChildProcess::start("enrol", folder, &words)?.finish()?;
    println!("enrolled  {person}, {count} pictures out of {clip}");
    Ok(())
}

/// One of our own commands as a child process, with a log file.
struct ChildProcess {
    name: String,
    child: Child,
    log: PathBuf,
    asked_to_end: bool,
}

impl ChildProcess {
    fn start(name: &str, folder: &Path, words: &[&str]) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = std::fs::File::create(&log)?;
        let mut command = Command::new(std::env::current_exe()?);
        // Ctrl-C is for the demo, which asks its child processes to end; and they end when it is killed.
        command.process_group(0).args(words).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // SAFETY: between fork and exec, only a system call is made.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
        }
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log, asked_to_end: false })
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Fails if it ended by itself.
    fn check(&mut self) -> Result<()> {
        if self.is_running() { Ok(()) } else { Err(self.failed("ended early")) }
    }

    /// Asks once: a second signal would end it at once, with what it has begun.
    fn terminate(&mut self) {
        if std::mem::replace(&mut self.asked_to_end, true) {
            return;
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        // SIGTERM ends a process that has not installed its handler yet.
        let ended_by_us = self.asked_to_end && status.signal() == Some(Signal::TERM.as_raw());
        if status.success() || ended_by_us {
            return Ok(());
        }
        bail!(self.failed(&format!("failed ({status})")))
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        anyhow::anyhow!(
            "{} {what}; its last lines:\n{}",
            self.name,
            lines[lines.len().saturating_sub(15)..].join("\n")
        )
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
