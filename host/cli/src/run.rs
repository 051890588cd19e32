//! `everyframe run`

use super::DONE;
use anyhow::Result;
use everyframe_kafka::create_missing_topics;
use everyframe_notify::{Meters, load_callbacks, load_channels};
use everyframe_pipeline::observe::Snapshot;
use everyframe_pipeline::reload::{Reloader, WatchedFiles};
use everyframe_pipeline::run::Host;
use everyframe_web::WebOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a host at work says what it has done.
const REPORT: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe run --config everyframe.toml\n\
    Ends at Ctrl-C or SIGTERM: it finishes and commits the frames that it has begun; the rest waits in Kafka.\n\
    Reloads the rules at SIGHUP, and when the file or a component changes.")]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "everyframe.toml")]
    config: PathBuf,
    /// Send no notifications: `everyframe notify` does it, in a process of its own.
    #[arg(long)]
    no_notify: bool,
}

pub fn run(arguments: Arguments) -> Result<u8> {
    let mut files = WatchedFiles::new(&arguments.config);
    let mut loaded = files.read()?;
    let runtime = super::runtime()?;
    let rules = super::config::load_rules(&mut loaded, runtime)?;
    // Of a copy: a reload compares the configuration with the file, where secrets are not read.
    let channels = if arguments.no_notify { Vec::new() } else { load_channels(&mut loaded.clone(), None)? };
    let callbacks = match loaded.config.web.listen.is_empty() {
        true => Vec::new(),
        false => load_callbacks(&mut loaded.clone())?,
    };
    let stop = super::stop_on_signal(runtime);
    let config = &loaded.config;
    runtime.block_on(create_missing_topics(config))?;
    let cache = super::cache_folder()?;
    let host = Host::start(config, rules, &cache, stop.clone())?;
    let meters = Meters::default();
    if !channels.is_empty() || !callbacks.is_empty() {
        host.metrics().register(|registry| meters.register(registry));
    }
    let mut server = None;
    if !config.web.listen.is_empty() {
        let options = WebOptions {
            file: Some(&arguments.config),
            cache: &cache,
            runtime: runtime.handle().clone(),
            rule_meters: Some(host.metrics().rule_meters().clone()),
            callbacks,
            meters: &meters,
        };
        server = Some(super::serve::start(config, options, &stop)?);
    }
    tracing::info!(
        "{}",
        if host.is_exactly_once() {
            "exactly once: results, alerts, rule state and offsets are committed together"
        } else {
            "at least once: a frame cut short by a crash is done again, and its records are recognisable by their ids"
        }
    );
    let mut notifier = None;
    if !channels.is_empty() {
        notifier = Some(super::notify::start(config, &channels, &meters, &stop)?);
    }
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| report(&host, &stop));
        scope.spawn(|| host.erase_expired(config, &stop));
        let (host, cache) = (&host, &*cache);
        let reloader = Reloader { host, runtime, config, cache };
        let stop = &stop;
        scope.spawn(move || reloader.run(files, stop));
        let ran = host.run();
        stop.store(true, Ordering::Relaxed);
        ran
    });
    if let Some(notifier) = notifier {
        notifier.join();
    }
    if let Some(server) = server {
        server.join();
    }
    let (totals, _) = host.end();
    log(&totals, "ended");
    ran?;
    Ok(DONE)
}

/// Logs from time to time what was done so far, if anything was.
fn report(host: &Host, stop: &AtomicBool) {
    let (mut last, mut before) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        if last.elapsed() >= REPORT {
            last = Instant::now();
            let totals = host.totals();
            if std::mem::replace(&mut before, totals.taken_in) != totals.taken_in {
                log(&totals, "so far");
            }
        }
    }
}

fn log(totals: &Snapshot, what: &str) {
    let Snapshot { taken_in, judged, parked, faces, alerts, .. } = *totals;
    tracing::info!(taken_in, processed = judged, parked, faces, alerts, "{what}");
}
