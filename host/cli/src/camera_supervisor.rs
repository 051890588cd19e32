//! `everyframe cameras run`: one agent for each camera, each in a process of its own.

use super::camera_list::{Listed, list_cameras};
use super::{Connection, DONE, WrongInput};
use anyhow::{Context as _, Result};
use everyframe_agent::CameraState;
use everyframe_config::{CameraSettings, Config};
use everyframe_kafka::read_configuration;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// Pauses before an agent is started again, seconds; the last one is repeated.
const RESTART_PAUSES: [u64; 4] = [1, 2, 5, 10];
/// An agent that ran for so long starts again without a longer pause.
const STEADY: Duration = Duration::from_secs(60);
/// How often children and the configuration are looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long agents may take to end: they have two seconds.
const END_TIME: Duration = Duration::from_secs(4);

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder for the frames that the broker has not taken yet. By default `spool` in EVERYFRAME_STATE, else in
    /// `~/.local/state/everyframe`.
    #[arg(long, value_name = "FOLDER")]
    spool: Option<PathBuf>,
    /// How much the spool of each camera may take of the disk: bytes, or with kB, MB, GB, KiB, MiB, GiB.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    spool_bytes: String,
    /// Serve the metrics of the cameras (Prometheus) at this address, under /metrics. There is no authentication.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// One camera's agent.
struct Agent {
    settings: CameraSettings,
    child: Option<Child>,
    started: Instant,
    /// How many times it ended soon after it was started.
    failures: usize,
    restart_at: Instant,
}

struct Supervisor<'a> {
    arguments: &'a Arguments,
    file: PathBuf,
    agents: BTreeMap<String, Agent>,
    config: Config,
    /// When the configuration was changed last.
    changed: Option<SystemTime>,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let missing = || WrongInput("`cameras run` needs a configuration with `[[cameras]]`".into());
    let file = arguments.connection.file().ok_or_else(missing)?;
    let config = read_configuration(&file)?.config;
    if config.cameras.is_empty() {
        return Err(missing().into());
    }
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(runtime);
    if let Some(address) = &arguments.listen {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
        let (file, spool) = (file.clone(), super::camera::spool_folder(arguments.spool.clone())?);
        std::thread::Builder::new()
            .name("metrics".into())
            .spawn(move || serve_metrics(&listener, &file, &spool))?;
        tracing::info!("watch the cameras at http://{address}/metrics");
    }
    let changed = modified(&file);
    let mut supervisor = Supervisor { arguments, file, agents: BTreeMap::new(), config, changed };
    supervisor.apply();
    while !stop.load(Ordering::Relaxed) {
        supervisor.reload_if_changed();
        supervisor.tend();
        std::thread::sleep(INTERVAL);
    }
    supervisor.end();
    Ok(DONE)
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|file| file.modified()).ok()
}

impl Supervisor<'_> {
    fn reload_if_changed(&mut self) {
        let changed = modified(&self.file);
        if changed.is_none() || changed == self.changed {
            return;
        }
        self.changed = changed;
        match read_configuration(&self.file) {
            Ok(loaded) => {
                let has_moved =
                    loaded.config.kafka != self.config.kafka || loaded.config.topics != self.config.topics;
                if has_moved {
                    tracing::info!("the broker or the topics have changed: all agents are started again");
                    self.stop_all();
                }
                self.config = loaded.config;
                self.apply();
            }
            Err(error) => {
                tracing::error!("{error}\nthe configuration is not used; the cameras stay as they are");
            }
        }
    }

    /// Stops and prepares the agents that the configuration concerns.
    fn apply(&mut self) {
        let wanted: BTreeMap<&str, &CameraSettings> =
            self.config.cameras.iter().map(|camera| (camera.id.as_str(), camera)).collect();
        let leaving: Vec<String> = self
            .agents
            .iter()
            .filter(|(id, agent)| {
                !wanted.get(id.as_str()).is_some_and(|camera| agent.settings.is_read_as(camera))
            })
            .map(|(id, _)| id.clone())
            .collect();
        let leaving: Vec<(String, Agent)> =
            leaving.into_iter().filter_map(|id| self.agents.remove_entry(&id)).collect();
        end_agents(leaving);
        let now = Instant::now();
        for camera in &self.config.cameras {
            if !self.agents.contains_key(&camera.id) {
                let agent = Agent {
                    settings: camera.clone(),
                    child: None,
                    started: now,
                    failures: 0,
                    restart_at: now,
                };
                self.agents.insert(camera.id.clone(), agent);
            }
        }
    }

    /// Starts agents that do not run.
    fn tend(&mut self) {
        let now = Instant::now();
        let (file, arguments) = (&self.file, self.arguments);
        for (camera, agent) in &mut self.agents {
            if let Some(child) = &mut agent.child {
                let Ok(Some(status)) = child.try_wait() else { continue };
                agent.child = None;
                agent.failures = if agent.started.elapsed() >= STEADY { 0 } else { agent.failures + 1 };
                let pause = RESTART_PAUSES.get(agent.failures.saturating_sub(1)).or(RESTART_PAUSES.last());
                let pause = Duration::from_secs(pause.copied().unwrap_or(1));
                agent.restart_at = now + pause;
                tracing::warn!(camera, "its agent ended ({status}); started again in {} s", pause.as_secs());
            }
            if agent.child.is_none() && now >= agent.restart_at {
                match start_agent(camera, file, arguments) {
                    Ok(child) => (agent.child, agent.started) = (Some(child), now),
                    Err(error) => {
                        tracing::error!(camera, "its agent cannot be started: {error:#}");
                        agent.restart_at = now + Duration::from_secs(10);
                    }
                }
            }
        }
    }

    fn stop_all(&mut self) {
        end_agents(std::mem::take(&mut self.agents).into_iter().collect());
    }

    fn end(mut self) {
        self.stop_all();
    }
}

/// Starts the agent of a camera. It reads the address itself, so that no argument shows it.
fn start_agent(camera: &str, file: &Path, arguments: &Arguments) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["camera", "--configured", "--id", camera, "--spool-bytes", &arguments.spool_bytes]);
    command.arg("--config").arg(file);
    if let Some(spool) = &arguments.spool {
        command.arg("--spool").arg(spool);
    }
    if let Some(brokers) = &arguments.connection.brokers {
        command.args(["--brokers", brokers]);
    }
    // Ctrl-C is for this process, which asks its agents to end; and they end when it is killed.
    command.process_group(0).stdin(Stdio::null());
    // SAFETY: between fork and exec, only a system call is made.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
    Ok(command.spawn()?)
}

/// Asks agents to end, waits for a few seconds, and ends those that do not.
fn end_agents(mut agents: Vec<(String, Agent)>) {
    for (_, agent) in &agents {
        let id = agent.child.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
    }
    let deadline = Instant::now() + END_TIME;
    for (camera, agent) in &mut agents {
        let Some(child) = &mut agent.child else { continue };
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                tracing::warn!(camera, "its agent does not end; it is killed");
                let _ = child.kill();
                let _ = child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Answers requests one after the other; a monitoring system asks every few seconds.
fn serve_metrics(listener: &TcpListener, file: &Path, spool: &Path) {
    for client in listener.incoming() {
        if let Ok(client) = client
            && let Err(error) = answer(client, file, spool)
        {
            tracing::debug!("a request for metrics failed: {error}");
        }
    }
}

fn answer(mut client: TcpStream, file: &Path, spool: &Path) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    client.set_write_timeout(Some(Duration::from_secs(2)))?;
    let mut request = [0; 1024];
    let read = client.read(&mut request)?;
    let (status, body) = match request[..read].starts_with(b"GET /metrics") {
        true => {
            let cameras = read_configuration(file).map(|loaded| loaded.config.cameras).unwrap_or_default();
            ("200 OK", render_metrics(&cameras, spool))
        }
        false => ("404 Not Found", "the metrics are at /metrics\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    client.write_all((head + &body).as_bytes())
}

/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
fn render_metrics(cameras: &[CameraSettings], spool: &Path) -> String {
    let now = everyframe_types::machine::unix_ms();
    let listed = list_cameras(cameras, spool);
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Listed) -> Option<f64>| {
        // Writing into a string does not fail.
        let _ =
            writeln!(text, "# HELP everyframe_agent_{name} {help}\n# TYPE everyframe_agent_{name} {kind}");
        for camera in &listed {
            if let Some(value) = value(camera) {
                let label = camera.id.replace('\\', "\\\\").replace('"', "\\\"");
                let _ = writeln!(text, "everyframe_agent_{name}{{camera=\"{label}\"}} {value}");
            }
        }
    };
    let fine = CameraState::Fine.as_str();
    family("up", "gauge", "1 if pictures come.", &|camera| Some(f64::from(u8::from(camera.state == fine))));
    family("last_picture_age_seconds", "gauge", "Age of the last picture.", &|camera| {
        Some((now - camera.status.as_ref()?.last_picture?).max(0) as f64 / 1000.0)
    });
    family("fps", "gauge", "Pictures per second.", &|camera| Some(camera.status.as_ref()?.fps));
    family("width_pixels", "gauge", "Width of the last picture.", &|camera| {
        Some(camera.status.as_ref()?.size?.0.into())
    });
    family("height_pixels", "gauge", "Height of the last picture.", &|camera| {
        Some(camera.status.as_ref()?.size?.1.into())
    });
    family("lateness_seconds", "gauge", "How late the last picture was passed on.", &|camera| {
        Some(camera.status.as_ref()?.lateness_ms as f64 / 1000.0)
    });
    family("pictures_total", "counter", "Pictures that were numbered.", &|camera| {
        Some(camera.status.as_ref()?.read as f64)
    });
    family("refused_total", "counter", "Numbered pictures without room.", &|camera| {
        Some(camera.status.as_ref()?.refused as f64)
    });
    family("damaged_total", "counter", "Damaged pictures.", &|camera| {
        Some(camera.status.as_ref()?.damaged as f64)
    });
    family("dropped_total", "counter", "Pictures left out, since the agent was slow.", &|camera| {
        Some(camera.status.as_ref()?.dropped as f64)
    });
    family("reconnects_total", "counter", "Connections after the first.", &|camera| {
        Some(camera.status.as_ref()?.reconnects as f64)
    });
    text
}
