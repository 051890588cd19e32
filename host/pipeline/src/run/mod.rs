//! The one place that joins the stages.

mod active_rules;
mod dead_letter_limiter;
mod deleted;
mod lanes;
mod ledger;
mod reprocess;
mod restore;
mod stages;
mod tracking;

use crate::intake::RUN;
use crate::observe::{Health, Metrics, ObserveError, Observed, Snapshot};
use crate::publish::Publisher;
use active_rules::ActiveRules;
use arc_swap::ArcSwap;
use everyframe_config::Config;
use everyframe_gallery::{Gallery, GalleryError};
use everyframe_kafka::{BrokerError, Ended, GroupConsumer};
use everyframe_rules::{Condition, RuleDescription, Rules};
use everyframe_types::machine::cores;
use everyframe_vision::{Models, Vision, VisionError, Worker, WorkerStats};
use lanes::{Job, Jobs, Lanes};
pub use reprocess::{ReprocessedFrame, Reprocessor};
use stages::Stages;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why a host cannot start, or go on. What is wrong with its rules was said before.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Models or their runtime.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The gallery.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// Kafka.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// It cannot be watched.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The machine has no threads left.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A host that is ready: everything is loaded, the gallery is read, the group is not joined yet.
pub struct Host {
    stages: Arc<Stages>,
    /// Tells the workers that nobody waits for them any more.
    ended: Arc<AtomicBool>,
    workers: Vec<JoinHandle<WorkerStats>>,
    lanes: Arc<Lanes>,
    health: Arc<Health>,
    models: Models,
    /// What was in force before the last change.
    before: Mutex<Option<Arc<ActiveRules>>>,
}

impl Host {
    /// Loads the models and the gallery, and starts the workers; can be watched from the beginning. `stop` ends
    /// [`Host::run`].
    pub fn start(
        config: &Config,
        mut rules: Rules,
        cache: &Path,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, RunError> {
        let config = config.clone();
        let observed = Observed::new(&config);
        observed.start(&config, &stop)?;
        let Observed { metrics, health } = observed;
        let vision = Vision::load(&config.vision, cache)?;
        tracing::info!("{}", vision.models());
        let gallery = Gallery::follow(&config, &vision.models().embedder.sha256)?;
        tracing::info!(people = gallery.index().people().len(), "gallery read");
        let publisher = Publisher::start(&config, metrics.clone(), &stop)?;
        let count = worker_count(&config);
        rules.set_meters(|name| metrics.rule(name));
        let active_rules = ArcSwap::from_pointee(ActiveRules::new(&config, rules, vision.models()));
        let stages = Arc::new(Stages { gallery, active_rules, publisher, metrics, stop, config });
        let (see, see_jobs) = crossbeam_channel::unbounded();
        let (embed, embed_jobs) = crossbeam_channel::unbounded();
        let ended = Arc::new(AtomicBool::new(false));
        let workers = (0..count)
            .map(|number| {
                let worker = vision.worker()?;
                let (see_jobs, embed_jobs) = (see_jobs.clone(), embed_jobs.clone());
                let (stages, ended) = (stages.clone(), ended.clone());
                let work = move || work(worker, &stages, &see_jobs, &embed_jobs, &ended);
                Ok(std::thread::Builder::new().name(format!("vision-{number}")).spawn(work)?)
            })
            .collect::<Result<_, RunError>>()?;
        // Wide enough that no worker waits for frames that are judged in a row, or whose records are on their way.
        let window = (2 * RUN).max(8 * count);
        let drain = Duration::from_millis(stages.config.intake.drain_timeout_ms);
        let lanes = Arc::new(Lanes::new(stages.clone(), Jobs { see, embed }, window, drain));
        let weak = Arc::downgrade(&lanes);
        let states = move || weak.upgrade().map(|lanes| lanes.states()).unwrap_or_default();
        stages.metrics.partitions().ask(states);
        let models = vision.models().clone();
        Ok(Self { stages, ended, workers, lanes, health, models, before: Mutex::default() })
    }

    /// What it has done so far.
    pub fn totals(&self) -> Snapshot {
        self.stages.metrics.now()
    }

    /// Puts other rules in force, with the zones, masks and schedules of their configuration: each frame is judged by the
    /// old or by the new ones from beginning to end. What the rules keep stays theirs by their names.
    pub fn put_in_force(&self, config: &Config, mut rules: Rules) {
        rules.set_meters(|name| self.stages.metrics.rule(name));
        let new = ActiveRules::new(config, rules, &self.models);
        let old = self.stages.active_rules.swap(Arc::new(new));
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(old);
    }

    /// Puts in force again what was before the last change, if that changed this rule. True if it did; once.
    pub fn fall_back(&self, rule: &str) -> bool {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.stages.active_rules.load();
        let Some(old) = before
            .take_if(|old| old.rules.component_and_settings(rule) != now.rules.component_and_settings(rule))
        else {
            return false;
        };
        drop(now);
        self.stages.active_rules.store(old);
        true
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.stages.metrics
    }

    /// The rules that are in force.
    pub fn rules(&self) -> Vec<RuleDescription> {
        self.stages.active_rules.load().rules.descriptions().to_vec()
    }

    /// What became of the rules since the last call.
    pub fn take_news(&self) -> Vec<Condition> {
        self.stages.active_rules.load().rules.take_conditions()
    }

    /// True if a result is there exactly once; otherwise at least once.
    pub fn is_exactly_once(&self) -> bool {
        self.stages.publisher.is_exactly_once()
    }

    /// Joins the group and processes frames until the flag given to [`Host::start`] is set. What was begun is finished
    /// and committed; the rest waits in Kafka.
    pub fn run(&self) -> Result<(), RunError> {
        let (stop, publisher) = (&self.stages.stop, &self.stages.publisher);
        loop {
            let intake = GroupConsumer::join(&self.stages.config, self.lanes.clone())?;
            publisher.joined(intake.membership());
            self.health.joined();
            match intake.run(stop, &|| publisher.take_gave_up())? {
                Ended::Stopped => return Ok(()),
                Ended::Interrupted => tracing::info!("joining the group anew"),
            }
        }
    }

    /// Ends the workers. One that is stuck (a record that no broker takes holds its lane) is left behind: the
    /// process is about to end, and its frame is not committed. Tells what was done, and where vision's time went.
    pub fn end(self) -> (Snapshot, WorkerStats) {
        let totals = self.totals();
        self.stages.publisher.end();
        self.ended.store(true, Ordering::Relaxed);
        drop(self.lanes);
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.workers.iter().any(|worker| !worker.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let ended =
            self.workers.into_iter().filter(JoinHandle::is_finished).filter_map(|worker| worker.join().ok());
        (totals, ended.fold(WorkerStats::default(), |all, one| all + one))
    }
}

fn worker_count(config: &Config) -> usize {
    match config.intake.workers {
        0 => cores(),
        count => count,
    }
}

/// One worker's life: embedding first, for it finishes what was begun.
fn work(
    mut worker: Worker,
    stages: &Stages,
    see_jobs: &crossbeam_channel::Receiver<Job>,
    embed_jobs: &crossbeam_channel::Receiver<Job>,
    ended: &AtomicBool,
) -> WorkerStats {
    loop {
        if ended.load(Ordering::Relaxed) {
            return worker.stats();
        }
        let job = crossbeam_channel::select_biased! {
            recv(embed_jobs) -> job => job,
            recv(see_jobs) -> job => job,
        };
        match job {
            Ok(Job::See { cell, frame }) => {
                let sight = stages::see(&mut worker, &stages.active_rules.load().site, frame.clone());
                cell.seen(frame.position.offset, sight);
            }
            Ok(Job::Embed { cell, frame, prepared }) => {
                let ready =
                    stages::embed(&mut worker, &stages.active_rules.load().site, frame.clone(), *prepared);
                cell.embedded(frame.position.offset, ready);
            }
            Err(crossbeam_channel::RecvError) => return worker.stats(),
        }
    }
}
