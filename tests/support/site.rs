//! A site of the tests: a broker, a configuration, and the commands that use them.

use crate::broker::Broker;
use crate::cluster::Cluster;
use crate::kafka::{self, Follower, Frame, Record};
use crate::part::{self, Ended, Part};
use crate::{places, wait_for};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// One of the product's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Frames of the cameras.
    Frames,
    /// One record for each processed frame.
    Results,
    /// Alerts of the rules.
    Alerts,
    /// Frames that could not be processed.
    DeadLetters,
    /// The enrolled people.
    Gallery,
    /// Views of strangers.
    Strangers,
    /// Rule state.
    State,
    /// Who acknowledged which alert.
    Acknowledgements,
    /// The health of channels, and their dead letters.
    Notifications,
    /// The data keys of people.
    Keys,
    /// Who did what.
    Trail,
}

impl Topic {
    /// All topics. A topic that is missing here would keep its default name, and be shared by all sites.
    pub const ALL: [Self; 11] = [
        Self::Frames,
        Self::Results,
        Self::Alerts,
        Self::DeadLetters,
        Self::Gallery,
        Self::Strangers,
        Self::State,
        Self::Acknowledgements,
        Self::Notifications,
        Self::Keys,
        Self::Trail,
    ];

    /// Its key in `[topics]`.
    fn key(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Results => "results",
            Self::Alerts => "alerts",
            Self::DeadLetters => "dead_letters",
            Self::Gallery => "gallery",
            Self::Strangers => "strangers",
            Self::State => "state",
            Self::Acknowledgements => "acknowledgements",
            Self::Notifications => "notifications",
            Self::Keys => "keys",
            Self::Trail => "trail",
        }
    }
}

/// Longer than the partitions of a killed host are unassigned.
const STILL: Duration = Duration::from_secs(20);

/// Topics and a consumer group of its own on shared brokers, and a configuration with their names.
pub struct Site {
    // Dropped in this order: the broker before its folder.
    followers: RefCell<BTreeMap<Topic, Follower>>,
    /// A broker that no other site uses.
    broker: RefCell<Option<Broker>>,
    address: String,
    /// The prefix of its group and topics.
    prefix: String,
    /// The addresses of the brokers, and the properties, that the product uses.
    way: RefCell<(String, String)>,
    exactly_once: bool,
    partitions: i32,
    folder: TempDir,
}

impl Site {
    /// A site on the shared broker, with the three shipped rules with default settings, and this number of partitions.
    pub fn start(partitions: i32) -> Self {
        Self::new(folder(), Broker::shared().to_owned(), None, true, partitions)
    }

    /// The same without transactions, as on brokers without them.
    pub fn at_least_once(partitions: i32) -> Self {
        Self::new(folder(), Broker::shared().to_owned(), None, false, partitions)
    }

    /// The same with a broker of its own, which can be stopped.
    pub fn with_a_broker(partitions: i32) -> Self {
        let folder = folder();
        let place = folder.path().join("kafka");
        std::fs::create_dir(&place).expect("a folder");
        let mut broker = Broker::new(&place);
        broker.start();
        Self::new(folder, broker.address.clone(), Some(broker), true, partitions)
    }

    /// The same on a cluster.
    pub fn on(cluster: &Cluster, partitions: i32) -> Self {
        Self::new(folder(), cluster.brokers().to_owned(), None, true, partitions)
    }

    fn new(
        folder: TempDir,
        address: String,
        broker: Option<Broker>,
        exactly_once: bool,
        partitions: i32,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // An external cluster may contain topics of an earlier process with the same id, so the name contains the time.
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let prefix =
            format!("test-{started}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let way = RefCell::new((address.clone(), String::new()));
        let (followers, broker) = (RefCell::default(), RefCell::new(broker));
        let site = Self { followers, broker, address, prefix, way, exactly_once, partitions, folder };
        site.configure("", &shipped_rules(""));
        site
    }

    /// Starts its own broker, at the same address and with the same data as before.
    pub fn start_broker(&self) {
        self.broker.borrow_mut().as_mut().expect("a site with a broker").start();
    }

    /// Ends its own broker at once, as a crash would.
    pub fn stop_broker(&self) {
        self.broker.borrow_mut().as_mut().expect("a site with a broker").kill();
    }

    /// Host and port of the broker, or of each broker of a cluster.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name of a topic of this site.
    pub fn name(&self, topic: Topic) -> String {
        format!("{}.{}", self.prefix, topic.key())
    }

    /// True if the product delivers exactly once.
    pub fn is_exactly_once(&self) -> bool {
        self.exactly_once
    }

    /// The consumer group of its hosts.
    pub fn group(&self) -> &str {
        &self.prefix
    }

    /// From the next [`Site::configure`] on, the product uses these brokers, with `properties` as lines of
    /// `[kafka.properties]`. The tests' own clients do not change.
    pub fn reach(&self, brokers: &str, properties: &str) {
        self.way.replace((brokers.to_owned(), properties.to_owned()));
    }

    /// A folder that is removed with the site.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("everyframe.toml")
    }

    /// Writes the configuration with `tables` (`[intake]` and so on) and `rules` unchanged.
    pub fn configure(&self, tables: &str, rules: &str) {
        let ((brokers, properties), group, partitions) =
            (self.way.borrow().clone(), self.group(), self.partitions);
        let properties = match properties.as_str() {
            "" => String::new(),
            lines => format!("[kafka.properties]\n{lines}\n\n"),
        };
        let mut names = String::new();
        for topic in Topic::ALL {
            names += &format!("{} = \"{}\"\n", topic.key(), self.name(topic));
        }
        let delivery = if self.exactly_once { "" } else { "[publish]\ndelivery = \"at-least-once\"\n" };
        // `make test PROVIDER=cpu` tests an execution provider that other machines would choose.
        let provider = match std::env::var("EVERYFRAME_TEST_PROVIDER") {
            Ok(name) if !name.is_empty() && !tables.contains("[vision") => vision_by(&name),
            _ => String::new(),
        };
        // Most tests need no second worker, and its sessions take half a second of a core at each start.
        let workers = if tables.contains("[intake]") { "" } else { "[intake]\nworkers = 1\n" };
        // The session is short, because the partitions of a killed host are assigned again only after it.
        // The lines that differ between sites come last, so that all other lines have the same numbers everywhere.
        let text = format!(
            "[kafka]\nbrokers = \"{brokers}\"\ngroup = \"{group}\"\n\n{properties}\
             [kafka.consumer]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n\n\
             # The topics are at the end.\n\n\n{tables}\n{rules}\n\
             {delivery}{provider}{workers}\n[topics]\npartitions = {partitions}\n{names}"
        );
        std::fs::write(self.config(), text).expect("the configuration can be written");
    }

    /// Writes a file into the site's folder.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        std::fs::write(&path, bytes).expect("a file can be written");
        path
    }

    /// Runs `everyframe` with these arguments and `--config`, and waits for its end.
    pub fn everyframe(&self, words: &[&str]) -> Ended {
        part::run(self.folder(), self.command(words).arg("--config").arg(self.config()))
    }

    /// Runs any other command, and waits for its end.
    pub fn run(&self, command: &mut Command) -> Ended {
        part::run(self.folder(), command)
    }

    /// Starts `everyframe` with these arguments and `--config`.
    pub fn start_everyframe(&self, name: &str, words: &[&str]) -> Part {
        Part::start(name, self.folder(), self.command(words).arg("--config").arg(self.config()))
    }

    /// The command `everyframe` with these arguments, in the site's folder.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(places::binary("everyframe"));
        command.args(words).current_dir(self.folder()).stdin(Stdio::null()).env_remove("RUST_LOG");
        // The folder of spools, which all tests would share otherwise.
        command.env("EVERYFRAME_STATE", self.folder().join("state"));
        command
    }

    /// Starts a host, and waits until it has a partition.
    pub fn host(&self) -> Part {
        self.host_called("host")
    }

    /// The same, with `name` as the name of the log.
    pub fn host_called(&self, name: &str) -> Part {
        let mut host = self.start_everyframe(name, &["run"]);
        host.wait_for_word("partition assigned");
        host
    }

    /// Starts a host with a static name in the group (`[kafka] instance`) and this session timeout, ms. `log` is the name
    /// of its log. Does not wait for a partition.
    pub fn start_host_as(&self, instance: &str, session_ms: u32, log: &str) -> Part {
        let text = std::fs::read_to_string(self.config()).expect("the site is configured");
        let text = text.replacen("[kafka]\n", &format!("[kafka]\ninstance = \"{instance}\"\n"), 1);
        let text = text.replacen("\"6000\"", &format!("\"{session_ms}\""), 1);
        let config = self.file(&format!("{log}.toml"), text.as_bytes());
        Part::start(log, self.folder(), self.command(&["run"]).arg("--config").arg(config))
    }

    /// Creates the frames topic, for tests that send frames before a command has created it.
    pub fn create_frames_topic(&self) {
        self.create(Topic::Frames);
    }

    /// Creates a topic.
    pub fn create(&self, topic: Topic) {
        self.create_for(topic, 16 << 20);
    }

    /// Creates a topic for records of at most `max_bytes` bytes, as an administrator may do.
    pub fn create_for(&self, topic: Topic, max_bytes: usize) {
        kafka::create(&self.address, &self.name(topic), self.partitions, max_bytes);
    }

    /// Deletes a topic with all its records.
    pub fn delete(&self, topic: Topic) {
        kafka::delete(&self.address, &[&self.name(topic)]);
    }

    /// The existing topics of this site.
    pub fn topics(&self) -> Vec<String> {
        let mut topics = kafka::topics(&self.address);
        topics.retain(|topic| topic.starts_with(&self.prefix));
        topics
    }

    /// Sends frames in order, and returns partition and offset of each.
    pub fn send(&self, frames: &[Frame]) -> Vec<(i32, i64)> {
        kafka::send(&self.address, &self.name(Topic::Frames), frames)
    }

    /// Enrols a person from these pictures.
    pub fn enrol(&self, person: &str, pictures: &[&Vec<u8>]) {
        let files: Vec<String> = pictures
            .iter()
            .zip(0..)
            .map(|(picture, number)| {
                self.file(&format!("{person}-{number}.jpg"), picture).display().to_string()
            })
            .collect();
        let mut words = vec!["enrol", person];
        words.extend(files.iter().map(String::as_str));
        self.everyframe(&words).expect_success();
    }

    /// All records that a topic has now.
    pub fn read(&self, topic: Topic) -> Vec<Record> {
        self.follow(topic, |records| records.to_vec())
    }

    /// All records that a topic has now, without those that were deleted since they were read.
    pub fn read_again(&self, topic: Topic) -> Vec<Record> {
        self.followers.borrow_mut().remove(&topic);
        self.read(topic)
    }

    /// Deletes a topic of any name with all its records.
    pub fn delete_named(&self, name: &str) {
        kafka::delete(&self.address, &[name]);
    }

    /// The number of records that a topic has now.
    pub fn count(&self, topic: Topic) -> usize {
        self.follow(topic, <[Record]>::len)
    }

    fn follow<T>(&self, topic: Topic, answer: impl FnOnce(&[Record]) -> T) -> T {
        let mut followers = self.followers.borrow_mut();
        let follower =
            followers.entry(topic).or_insert_with(|| Follower::new(&self.address, &self.name(topic)));
        follower.update();
        answer(&follower.records)
    }

    /// Waits until a topic has at least `count` records, and returns all of them.
    pub fn wait_for_records(&self, topic: Topic, count: usize) -> Vec<Record> {
        wait_for(&format!("{count} records in {}", self.name(topic)), || {
            (self.count(topic) >= count).then(|| self.read(topic))
        })
    }

    /// Waits until every frame is accounted for, and returns the audit: exit status and JSON.
    pub fn settled_audit(&self) -> (Option<i32>, Value) {
        // Following the topics is cheap; an audit reads all of them. If nothing changes any more, the audit reports what is
        // missing. Frames are not sent in transactions, so the end of their topic is their number.
        let frames = || kafka::end(&self.address, &self.name(Topic::Frames));
        let (mut done, mut still_since) = (0, Instant::now());
        while done < frames() && still_since.elapsed() < STILL {
            std::thread::sleep(Duration::from_millis(50));
            let read = |topic: Topic| i64::try_from(self.count(topic)).unwrap_or(i64::MAX);
            let now = read(Topic::Results) + read(Topic::DeadLetters);
            if now != std::mem::replace(&mut done, now) {
                still_since = Instant::now();
            }
        }
        wait_for("every frame to be accounted for", || {
            let (code, report) = self.audit();
            (report["total"]["waiting"] == 0).then_some((code, report))
        })
    }

    /// Runs an audit, and returns its exit status and JSON. As an operator would, it tries again while the broker does not answer,
    /// for example just after it was started again.
    pub fn audit(&self) -> (Option<i32>, Value) {
        wait_for("an audit", || {
            let audit = self.everyframe(&["audit", "--json"]);
            if audit.out.is_empty() && audit.err.contains("no broker answers") {
                return None;
            }
            let report = serde_json::from_str(&audit.out);
            Some((audit.code, report.unwrap_or_else(|error| panic!("{error}: {}{}", audit.out, audit.err))))
        })
    }

    /// Moves the hosts' group to this offset. No host may be running.
    pub fn commit(&self, partition: i32, offset: i64) {
        kafka::commit(&self.address, self.group(), &self.name(Topic::Frames), partition, offset);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.broker.borrow().is_none() {
            let names = Topic::ALL.map(|topic| self.name(topic));
            kafka::delete(&self.address, &names.each_ref().map(String::as_str));
        }
    }
}

fn folder() -> TempDir {
    // Keeps the folder for inspection.
    let keep = std::env::var_os("EVERYFRAME_TEST_KEEP").is_some();
    let mut folder = tempfile::Builder::new();
    folder.prefix("everyframe-test-").disable_cleanup(keep).tempdir().expect("a folder")
}

/// Tables that make a host run both models with one provider: `cpu`, `openvino` or `openvino-bf16`.
pub fn vision_by(provider: &str) -> String {
    format!("[vision.detector]\nprovider = \"{provider}\"\n\n[vision.embedder]\nprovider = \"{provider}\"\n")
}

/// The three shipped rules, with `settings` for the alert rule. They have time enough on a busy machine.
pub fn shipped_rules(settings: &str) -> String {
    let patient = |settings: &str| format!("{settings}\n\n[rules.limits]\ntime_ms = 2000");
    let others = rule("strangers", "unknown-person", &places::rule("unknown_person"), &patient(""))
        + &rule("alerts", "alerting", &places::rule("alerting"), &patient(settings));
    rule("who", "matching-policy", &places::rule("matching_policy"), &patient("")) + &others
}

/// One rule as TOML.
pub fn rule(name: &str, kind: &str, component: &Path, settings: &str) -> String {
    format!(
        "[[rules]]\nname = \"{name}\"\nkind = \"{kind}\"\ncomponent = \"{}\"\n\n[rules.settings]\n{settings}\n\n",
        component.display()
    )
}
