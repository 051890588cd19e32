//! A trial: a site, random numbers, frames that flow, and an audit at its end.

use everyframe_tests::cluster::{Broken, Whole};
use everyframe_tests::{Cluster, Dice, Frame, Record, Site, Topic, pictures};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Partitions of a trial; there is one camera on each.
pub const PARTITIONS: i32 = 4;

/// About the number of trials, divided by the two that run at once on a small machine.
const IN_TURN: u32 = 13;

/// The time for all long versions together; `None` for the short ones.
fn soak() -> Option<Duration> {
    let minutes: f64 = std::env::var("EVERYFRAME_SOAK_MINUTES").ok()?.parse().ok()?;
    Some(Duration::from_secs_f64(60.0 * minutes))
}

/// The broker of a trial.
enum Place {
    Node,
    Whole(Whole),
    ToBreak(Broken),
}

/// One fault, caused several times while frames flow.
pub struct Trial {
    fault: &'static str,
    // Dropped in this order: the topics are deleted while no other test may break the cluster.
    pub site: Site,
    place: Place,
    pub dice: Dice,
    times: Cell<usize>,
    began: Instant,
    /// When to stop causing the fault; `None` for short versions.
    until: Option<Instant>,
}

impl Trial {
    /// On a single node, without transactions.
    pub fn at_least_once(fault: &'static str) -> Option<Self> {
        Self::begin(fault, || Some((Site::at_least_once(PARTITIONS), Place::Node)))
    }

    /// On a single node of its own.
    pub fn with_a_broker(fault: &'static str) -> Option<Self> {
        Self::begin(fault, || Some((Site::with_a_broker(PARTITIONS), Place::Node)))
    }

    /// On a cluster that stays whole.
    pub fn on_a_cluster(fault: &'static str) -> Option<Self> {
        Self::begin(fault, || {
            let cluster = Cluster::whole();
            Some((Site::on(&cluster, PARTITIONS), Place::Whole(cluster)))
        })
    }

    /// On a cluster that it may break.
    pub fn of_the_cluster(fault: &'static str) -> Option<Self> {
        Self::begin(fault, || {
            let cluster = Cluster::to_break(fault)?;
            Some((Site::on(&cluster, PARTITIONS), Place::ToBreak(cluster)))
        })
    }

    /// `None` if there is no cluster for it.
    fn begin(fault: &'static str, place: impl FnOnce() -> Option<(Site, Place)>) -> Option<Self> {
        let (site, place) = place()?;
        let dice = Dice::new();
        eprintln!("{fault}: EVERYFRAME_SEED={}", dice.seed());
        let began = Instant::now();
        let until = soak().map(|soak| began + soak / IN_TURN);
        Some(Self { fault, site, place, dice, times: Cell::new(0), began, until })
    }

    /// On a cluster whose users it may change.
    pub fn on_a_cluster_of_ours(fault: &'static str) -> Option<Self> {
        Self::begin(fault, || {
            let cluster = Cluster::ours(fault)?;
            Some((Site::on(&cluster, PARTITIONS), Place::Whole(cluster)))
        })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        match &self.place {
            Place::ToBreak(cluster) => cluster,
            Place::Whole(cluster) => cluster,
            Place::Node => panic!("this trial has no cluster"),
        }
    }

    /// Counts how often to cause the fault, from 1: up to `few`, or up to `many` in a soak while there is time.
    pub fn times(&self, few: usize, many: usize) -> impl Iterator<Item = usize> + '_ {
        let count = if self.until.is_some() { many } else { few };
        let has_time =
            move |time: &usize| *time <= few || self.until.is_none_or(|until| Instant::now() < until);
        (1..=count).take_while(has_time).inspect(|time| self.times.set(*time))
    }

    /// Records that the fault is caused only once.
    pub fn once(&self) {
        self.times.set(1);
    }

    /// Seconds: `short`, or `long` in a soak.
    pub fn seconds(&self, short: u64, long: u64) -> Duration {
        Duration::from_secs(if self.until.is_some() { long } else { short })
    }

    /// The end of every trial. Checks that each of `sent` frames has one outcome, or without transactions at least one with every
    /// repeat reported. Returns the audit.
    pub fn account(&self, sent: usize) -> Value {
        let (code, audit) = self.site.settled_audit();
        let total = &audit["total"];
        let count = |what: &str| total[what].as_u64().expect("the account has it") as usize;
        let seconds = self.began.elapsed().as_secs();
        eprintln!("{}: {} times, {sent} frames, {seconds} s", self.fault, self.times.get());
        self.write_row(sent, &audit);
        // An agent that was killed sends its last frames again, under their numbers.
        let again = self.sent_again();
        assert_eq!((code, count("sent") + again), (Some(0), sent), "{audit}");
        assert_eq!((count("missing"), count("gaps"), count("waiting")), (0, 0, 0), "{audit}");

        // The same count from the topics, independent of the audit.
        let outcomes: Vec<(i32, i64)> = [Topic::Results, Topic::DeadLetters]
            .iter()
            .flat_map(|topic| self.site.read(*topic))
            .map(|record| frame_of(&record))
            .collect();
        let distinct: BTreeSet<(i32, i64)> = outcomes.iter().copied().collect();
        let repeated = outcomes.len() - distinct.len();
        assert_eq!(
            (distinct.len(), count("results") + count("dead_letters") + again),
            (sent, sent),
            "{audit}"
        );
        assert_eq!(count("repeated"), repeated + again, "{audit}");
        let alerts: Vec<String> = self.site.read(Topic::Alerts).iter().map(id).collect();
        let alerts_repeated = alerts.len() - alerts.iter().collect::<BTreeSet<_>>().len();
        if self.site.is_exactly_once() {
            assert_eq!((repeated, alerts_repeated), (0, 0), "{audit}");
        }
        audit
    }

    /// The number of frames whose number in their session came before.
    fn sent_again(&self) -> usize {
        let mut numbers = BTreeSet::new();
        let frames = self.site.read(Topic::Frames);
        let numbered = frames.iter().filter(|record| record.headers.contains_key("everyframe-sequence"));
        let own = numbered.filter(|record| !record.headers.contains_key("everyframe-replay-of"));
        let is_again = |record: &&Record| {
            let name = |header: &str| record.header(header).to_owned();
            !numbers.insert((record.key.clone(), name("everyframe-session"), name("everyframe-sequence")))
        };
        own.filter(is_again).count()
    }

    /// Appends a row to the table that `EVERYFRAME_SOAK_TABLE` names.
    fn write_row(&self, sent: usize, audit: &Value) {
        let Some(path) = std::env::var_os("EVERYFRAME_SOAK_TABLE") else { return };
        let total = &audit["total"];
        let place = match self.place {
            Place::Node => "one node",
            Place::Whole(_) | Place::ToBreak(_) => "cluster",
        };
        let row = format!(
            "| {} | {place} | {} | {sent} | {} | {} | {} |\n",
            self.fault,
            self.times.get(),
            total["missing"],
            total["repeated"],
            self.dice.seed()
        );
        let table = std::fs::OpenOptions::new().create(true).append(true).open(path);
        table.and_then(|mut table| table.write_all(row.as_bytes())).expect("the table can be written");
    }
}

/// The partition and offset of the frame that a result or a dead letter is about.
fn frame_of(record: &Record) -> (i32, i64) {
    let number = |name: &str| record.header(name).parse::<i64>().ok();
    let (partition, offset) = match (number("everyframe-partition"), number("everyframe-offset")) {
        (Some(partition), Some(offset)) => (partition, offset),
        _ => {
            let position = record.json()["data"]["position"].clone();
            let number = |name: &str| position[name].as_i64().expect("a result has a position");
            (number("partition"), number("offset"))
        }
    };
    (i32::try_from(partition).expect("a partition"), offset)
}

/// The id of an event.
pub fn id(record: &Record) -> String {
    record.json()["id"].to_string()
}

/// Default names of the cameras.
pub const CAMERAS: [&str; PARTITIONS as usize] = ["camera-0", "camera-1", "camera-2", "camera-3"];

/// Frames of four cameras in turns, each on its own partition, with an agent's headers. They show the man of the footage,
/// except where `other` returns a picture for the frame's number.
pub fn four_cameras(
    names: [&'static str; PARTITIONS as usize],
    other: impl Fn(usize) -> Option<Vec<u8>> + Send + 'static,
) -> impl Iterator<Item = Frame> + Send + 'static {
    let man = pictures::man();
    (0usize..).map(move |turn| {
        let (number, camera) = (turn / PARTITIONS as usize, (turn % PARTITIONS as usize) as i32);
        let picture = other(number).unwrap_or_else(|| man[number % man.len()].clone());
        let stamp = Some(("session-1".into(), number as u64, 1_764_000_000_000 + 100 * number as i64));
        Frame { stamp, ..Frame::new(names[camera as usize], &picture).to(camera) }
    })
}

/// For [`four_cameras`]: the man in every frame.
pub fn the_man(_: usize) -> Option<Vec<u8>> {
    None
}
