//! Wires a host: vision, gallery, rules, lanes, publisher and consumer.

use super::active_rules::ActiveRules;
use super::background::Threads;
use super::error::RunError;
use super::lane_cell::Jobs;
use super::lane_context::LaneContext;
use super::lanes::Lanes;
use super::rule_judge::RuleJudge;
use super::topic_reader::KafkaTopicReader;
use super::worker::run_worker;
use crate::intake::JUDGED_IN_A_ROW;
use crate::observe::{Health, Metrics, Observed, Snapshot};
use crate::publish::Publisher;
use arc_swap::ArcSwap;
use everyframe_config::Config;
use everyframe_gallery::{Gallery, Strangers};
use everyframe_kafka::{Ended, GroupConsumer};
use everyframe_privacy::KeyRing;
use everyframe_rules::{Condition, RuleDescription, Rules};
use everyframe_telemetry::clock::{Clock, SystemClock};
use everyframe_types::machine::cores;
use everyframe_vision::{Models, Vision, WorkerStats};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A host that is ready: models and gallery are loaded, the group is not joined yet.
pub struct Host {
    context: Arc<LaneContext>,
    judge: Arc<RuleJudge>,
    /// Ends the workers.
    ended: Arc<AtomicBool>,
    workers: Vec<JoinHandle<WorkerStats>>,
    lanes: Arc<Lanes>,
    health: Arc<Health>,
    models: Models,
    /// The rules before the last change.
    before: Mutex<Option<Arc<ActiveRules>>>,
}

impl Host {
    /// Serves metrics and health, loads the models and the gallery, and starts the workers. `stop` ends [`Host::run`].
    ///
    /// # Errors
    ///
    /// [`RunError`] says what the operator must change.
    pub fn start(
        config: &Config,
        mut rules: Rules,
        cache: &Path,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, RunError> {
        let config = config.clone();
        let ring = Arc::new(KeyRing::load(&config.privacy)?);
        if ring.is_empty() {
            tracing::warn!(
                "[privacy] keys is empty: templates, views of strangers and rule state are not encrypted, and whoever reads Kafka's \
                 disks or topics can recognise these people; `everyframe gallery make-key FILE` makes a key"
            );
        }
        let observed = Observed::new(&config);
        observed.start(&config, &stop)?;
        let Observed { metrics, health } = observed;
        let vision = Vision::load(&config.vision, cache)?;
        tracing::info!("{}", vision.models());
        let count = worker_count(&config);
        let embedder = &vision.models().embedder.sha256;
        // Loading the models takes half a second of a core for each worker, so it happens while the gallery is read.
        let (workers, gallery, strangers) = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..count).map(|_| scope.spawn(|| vision.worker())).collect();
            let gallery = Gallery::follow(&config, embedder)?;
            tracing::info!(people = gallery.index().people_count(), "gallery read");
            let strangers = Strangers::follow(&config, embedder)?;
            tracing::info!(strangers = strangers.index().count(), "strangers read");
            let workers =
                workers.into_iter().map(|made| made.join().unwrap_or_else(|panic| resume_unwind(panic)));
            Ok::<_, RunError>((workers.collect::<Result<Vec<_>, _>>()?, gallery, strangers))
        })?;
        let publisher = Publisher::start(&config, ring.clone(), metrics.clone(), &stop)?;
        rules.set_meters(|name| metrics.rule_meter(name));
        let active_rules = ArcSwap::from_pointee(ActiveRules::new(&config, rules, vision.models()));
        let judge = Arc::new(RuleJudge {
            config: config.clone(),
            gallery,
            strangers,
            active_rules,
            metrics: metrics.clone(),
        });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let context = Arc::new(LaneContext {
            judge: judge.clone(),
            publisher,
            metrics,
            topics: Arc::new(KafkaTopicReader {
                settings: config.kafka.clone(),
                topics: config.topics.clone(),
            }),
            background: Arc::new(Threads(clock.clone())),
            clock,
            stop,
            ring,
            failure: OnceLock::new(),
            config,
        });
        let (detect, detect_jobs) = crossbeam_channel::unbounded();
        let (embed, embed_jobs) = crossbeam_channel::unbounded();
        let ended = Arc::new(AtomicBool::new(false));
        let workers = (0..)
            .zip(workers)
            .map(|(number, worker): (usize, _)| {
                let (detect_jobs, embed_jobs) = (detect_jobs.clone(), embed_jobs.clone());
                let (judge, ended) = (judge.clone(), ended.clone());
                let work = move || run_worker(worker, &judge, &detect_jobs, &embed_jobs, &ended);
                Ok(std::thread::Builder::new().name(format!("vision-{number}")).spawn(work)?)
            })
            .collect::<Result<_, RunError>>()?;
        // Wide enough that no worker waits for frames that are judged in a row, or whose records are on their way.
        let window = (2 * JUDGED_IN_A_ROW).max(8 * count);
        let lanes = Arc::new(Lanes::new(context.clone(), Jobs { detect, embed }, window));
        let weak = Arc::downgrade(&lanes);
        let states = move || weak.upgrade().map(|lanes| lanes.states()).unwrap_or_default();
        context.metrics.partitions().set_lanes(states);
        let models = vision.models().clone();
        Ok(Self { context, judge, ended, workers, lanes, health, models, before: Mutex::default() })
    }

    /// The totals since the start.
    pub fn totals(&self) -> Snapshot {
        self.context.metrics.snapshot()
    }

    /// Activates other rules, with the zones, masks and schedules of their configuration. Each frame is judged by the old
    /// or by the new ones from beginning to end. A rule of the same name keeps its state.
    pub fn activate(&self, config: &Config, mut rules: Rules) {
        self.context.metrics.expect_cameras(config.cameras.clone());
        rules.set_meters(|name| self.context.metrics.rule_meter(name));
        let new = ActiveRules::new(config, rules, &self.models);
        let old = self.judge.active_rules.swap(Arc::new(new));
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(old);
    }

    /// Activates the rules before the last change again, if that changed this rule. True if it did; once.
    pub fn fall_back(&self, rule: &str) -> bool {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.judge.active_rules.load();
        let Some(old) = before
            .take_if(|old| old.rules.component_and_settings(rule) != now.rules.component_and_settings(rule))
        else {
            return false;
        };
        drop(now);
        self.judge.active_rules.store(old);
        true
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.context.metrics
    }

    /// The active rules.
    pub fn rules(&self) -> Vec<RuleDescription> {
        self.judge.active_rules.load().rules.descriptions().to_vec()
    }

    /// The rules that began to fail, or answer again, since the last call.
    pub fn take_conditions(&self) -> Vec<Condition> {
        self.judge.active_rules.load().rules.take_conditions()
    }

    /// True if each result is delivered exactly once; otherwise at least once.
    pub fn is_exactly_once(&self) -> bool {
        self.context.publisher.is_exactly_once()
    }

    /// Joins the group and processes frames until the flag given to [`Host::start`] is set. Frames that were begun are
    /// finished and committed; the rest waits in Kafka.
    ///
    /// # Errors
    ///
    /// Kafka refuses this host: the operator must change the configuration. Outages are waited out.
    pub fn run(&self) -> Result<(), RunError> {
        let (stop, publisher) = (&self.context.stop, &self.context.publisher);
        loop {
            let intake = GroupConsumer::of_frames(&self.context.config, self.lanes.clone())?;
            publisher.set_membership(intake.membership());
            self.health.joined();
            let check = || {
                if self.key_failure().is_some() {
                    stop.store(true, Ordering::Relaxed);
                }
                publisher.take_rejoin_request()
            };
            match intake.run(stop, &check)? {
                Ended::Stopped => return self.key_failure().map_or(Ok(()), Err),
                Ended::Interrupted => tracing::info!("joining the group again"),
                Ended::Renamed => tracing::warn!(
                    "the group took a late request of this host for another host of its name; joining it again"
                ),
            }
        }
    }

    /// The people whose enrolment has ended at a time, Unix milliseconds.
    pub(super) fn expired_people(&self, at: i64) -> Vec<String> {
        self.judge.gallery.index().expired_people(at)
    }

    /// The key that the host turned out to lack, if it did. Going on without it would take enrolled people for unknown ones.
    fn key_failure(&self) -> Option<RunError> {
        let state = self.context.failure.get().cloned().map(RunError::from);
        let RuleJudge { gallery, strangers, .. } = &*self.judge;
        let failed = [gallery.failure(), strangers.failure()].into_iter().flatten();
        state.or_else(|| failed.map(|error| RunError::Stopped(error.to_string())).next())
    }

    /// Ends the workers. One that is stuck is left behind: the process is about to end, and its frame is not committed.
    /// Returns the totals, and where vision's time went.
    pub fn end(self) -> (Snapshot, WorkerStats) {
        let totals = self.totals();
        self.context.publisher.end();
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
