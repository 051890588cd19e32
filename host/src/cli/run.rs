//! `everyframe run`

use super::DONE;
use crate::config::Loaded;
use crate::kafka::{ensure, everyframe_topics};
use crate::rules::Rules;
use crate::run::Host;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe run --config everyframe.toml\n\
    Ends at Ctrl-C or SIGTERM: what was begun is finished and committed, the rest waits in Kafka.")]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "everyframe.toml")]
    config: PathBuf,
}

pub fn run(arguments: Arguments) -> Result<u8> {
    let loaded = Loaded::read(&arguments.config)?;
    let runtime = super::runtime()?;
    let rules = Rules::load(&loaded.config.rules, runtime.handle().clone())
        .map_err(|error| super::config::explained(&loaded, error))?;
    let stop = super::stop_on_signal(&runtime);
    let config = &loaded.config;
    runtime.block_on(ensure(&config.kafka, &everyframe_topics(config)))?;
    let host = Host::start(config, rules, &super::cache_folder()?)?;
    tracing::info!(
        "at least once: a frame cut short by a crash is done again, and its records are recognisable by their ids"
    );
    host.run(&stop)?;
    let (totals, _) = host.end();
    tracing::info!(
        frames = totals.judged + totals.parked,
        parked = totals.parked,
        faces = totals.faces,
        alerts = totals.alerts,
        "ended"
    );
    Ok(DONE)
}
