//! `everyframe serve`

use super::{Connection, DONE};
use anyhow::Result;
use everyframe_config::Config;
use everyframe_gallery::check_keys;
use everyframe_kafka::{create_missing_topics, read_configuration};
use everyframe_notify::{Meters, load_callbacks};
use everyframe_web::{DEFAULT_ADDRESS, WebOptions, WebServer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(clap::Args)]
#[command(
    after_help = "Serves the dashboard and the HTTP API, and processes no frames. `run` does both if `[web] listen` \
    is set.\n\n\
    An address that other machines can reach needs a token in the configuration. `everyframe token` makes one.\n\n\
    Example:\n  \
    everyframe serve --config everyframe.toml"
)]
pub struct Arguments {
    /// Where to listen; wins over `[web] listen`.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let mut config = arguments.connection.config()?;
    if let Some(listen) = &arguments.listen {
        config.web.listen.clone_from(listen);
    }
    if config.web.listen.is_empty() {
        config.web.listen = DEFAULT_ADDRESS.into();
    }
    if let Some((_, problem)) = config.web.find_problems().into_iter().next() {
        return Err(super::WrongInput(format!("--listen: {problem}")).into());
    }
    let file = arguments.connection.file();
    let callbacks = match &file {
        Some(file) => load_callbacks(&mut read_configuration(file)?)?,
        None => Vec::new(),
    };
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(runtime);
    runtime.block_on(create_missing_topics(&config))?;
    check_keys(&config)?;
    let cache = super::cache_folder()?;
    let (runtime, meters) = (runtime.handle().clone(), Meters::default());
    let file = file.as_deref();
    let options = WebOptions { file, cache: &cache, runtime, rule_meters: None, callbacks, meters: &meters };
    let server = start(&config, options, &stop)?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
    }
    server.join();
    Ok(DONE)
}

/// Starts the dashboard and the HTTP API of a configuration.
pub fn start(config: &Config, options: WebOptions<'_>, stop: &Arc<AtomicBool>) -> Result<WebServer> {
    let server = WebServer::start(config, &config.web.listen, options, stop)?;
    let scheme = if config.web.tls.is_some() { "https" } else { "http" };
    tracing::info!("dashboard at {scheme}://{}", server.address);
    Ok(server)
}
