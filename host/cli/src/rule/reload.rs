//! `everyframe rule reload`

use super::super::{DONE, FAILED, cache_folder, config::load_rules, runtime};
use anyhow::{Context as _, Result, bail};
use everyframe_kafka::read_configuration;
use everyframe_pipeline::reload::{HostReport, find_hosts};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a host may take to reload. A Python rule that is not compiled yet takes about ten seconds, on a busy machine more.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe rule reload --config everyframe.toml\n\
    Hosts on other machines read the file themselves when it changes there ([reload] watch), or at SIGHUP.")]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "everyframe.toml")]
    config: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    // What is wrong with the rules is better said here than in a host's log.
    load_rules(&mut read_configuration(&arguments.config)?, runtime()?)?;
    let (cache, config) = (cache_folder()?, std::path::absolute(&arguments.config)?);
    let hosts = find_hosts(&cache, &config)?;
    if hosts.is_empty() {
        bail!("no host on this machine runs with {}; start one with `everyframe run`", config.display());
    }
    for host in &hosts {
        let pid = Pid::from_raw(host.pid).context("a host without a process")?;
        kill_process(pid, Signal::HUP).with_context(|| format!("host {} cannot be asked", host.pid))?;
    }
    let mut status = DONE;
    for host in &hosts {
        let answer = answer(&cache, &config, host)?;
        let what = if answer.is_in_force { "rules in force" } else { "the rules stay as they are" };
        println!("host {}: {what}: {}", host.pid, answer.outcome);
        if !answer.is_in_force {
            status = FAILED;
        }
    }
    Ok(status)
}

/// What the host says after it was asked.
fn answer(cache: &Path, config: &Path, asked: &HostReport) -> Result<HostReport> {
    let deadline = Instant::now() + RELOAD_TIMEOUT;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        let hosts = find_hosts(cache, config)?;
        if let Some(said) =
            hosts.into_iter().find(|said| said.pid == asked.pid && said.reloads > asked.reloads)
        {
            return Ok(said);
        }
    }
    bail!("host {} has not answered for {} s; its log says why", asked.pid, RELOAD_TIMEOUT.as_secs())
}
