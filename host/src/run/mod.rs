//! The one place that joins the stages.

mod appearance;
mod brake;
mod deleted;
mod lanes;
mod ledger;
mod restore;
mod stages;

use crate::config::Config;
use crate::event::{JudgedBy, Part};
use crate::gallery::{Gallery, GalleryError};
use crate::intake::{Ended, Intake};
use crate::kafka::BrokerError;
use crate::observe::{Health, ObserveError, Observed, Snapshot};
use crate::premises::Premises;
use crate::publish::Publisher;
use crate::rules::Rules;
use crate::vision::{Spent, Vision, VisionError, Worker};
use arc_swap::ArcSwap;
use lanes::{Job, Jobs, Lanes};
use stages::Stages;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    workers: Vec<JoinHandle<Spent>>,
    lanes: Arc<Lanes>,
    health: Arc<Health>,
}

impl Host {
    /// Loads the models and the gallery, and starts the workers; can be watched from the beginning. `stop` ends
    /// [`Host::run`].
    pub fn start(
        config: &Config,
        rules: Rules,
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
        tracing::info!(people = gallery.now().people().len(), "gallery read");
        let publisher = Publisher::start(&config, judged_by(&vision, &rules), metrics.clone(), &stop)?;
        let count = worker_count(&config);
        let premises = ArcSwap::from_pointee(Premises::new(&config));
        let stages = Arc::new(Stages { gallery, rules, premises, publisher, metrics, stop, config });
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
        // Wide enough that no worker waits for a frame whose records are on their way to the broker.
        let window = 16.max(8 * count);
        let drain = Duration::from_millis(stages.config.intake.drain_timeout_ms);
        let lanes = Arc::new(Lanes::new(stages.clone(), Jobs { see, embed }, window, drain));
        let weak = Arc::downgrade(&lanes);
        let states = move || weak.upgrade().map(|lanes| lanes.states()).unwrap_or_default();
        stages.metrics.partitions().ask(states);
        Ok(Self { stages, ended, workers, lanes, health })
    }

    /// What it has done so far.
    pub fn totals(&self) -> Snapshot {
        self.stages.metrics.now()
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
            let intake = Intake::join(&self.stages.config, self.lanes.clone())?;
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
    pub fn end(self) -> (Snapshot, Spent) {
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
        (totals, ended.fold(Spent::default(), |all, one| all + one))
    }
}

fn worker_count(config: &Config) -> usize {
    match config.intake.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
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
) -> Spent {
    loop {
        if ended.load(Ordering::Relaxed) {
            return worker.spent();
        }
        let job = crossbeam_channel::select_biased! {
            recv(embed_jobs) -> job => job,
            recv(see_jobs) -> job => job,
        };
        match job {
            Ok(Job::See { cell, frame }) => {
                let sight = stages::see(&mut worker, &stages.premises.load(), frame.clone());
                cell.seen(frame.position.offset, sight);
            }
            Ok(Job::Embed { cell, frame, prepared }) => {
                let ready = stages::embed(&mut worker, &stages.premises.load(), frame.clone(), *prepared);
                cell.embedded(frame.position.offset, ready);
            }
            Err(crossbeam_channel::RecvError) => return worker.spent(),
        }
    }
}

fn judged_by(vision: &Vision, rules: &Rules) -> JudgedBy {
    let models = vision.models();
    let model =
        |name: &str, sha256: &str| Part { name: name.to_owned(), version: None, sha256: sha256.to_owned() };
    JudgedBy {
        models: vec![
            model(&models.detector.name, &models.detector.sha256),
            model(&models.embedder.name, &models.embedder.sha256),
        ],
        rules: rules
            .descriptions()
            .iter()
            .map(|rule| Part {
                name: rule.name.clone(),
                version: Some(rule.version.clone()),
                sha256: rule.sha256.clone(),
            })
            .collect(),
    }
}
