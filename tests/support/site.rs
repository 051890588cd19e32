//! A site: a broker, a configuration, and the commands run against them.

use crate::kafka::{self, Follower, Frame, Record};
use crate::part::{self, Ended, Part};
use crate::{places, wait_for};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One of the topics that the product writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// What the cameras sent.
    Frames,
    /// One for each frame processed.
    Results,
    /// What the rules raised.
    Alerts,
    /// Frames that could not be processed.
    DeadLetters,
    /// The enrolled people.
    Gallery,
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Results => "everyframe.results",
            Self::Alerts => "everyframe.alerts",
            Self::DeadLetters => "everyframe.dead-letters",
            Self::Gallery => "everyframe.gallery",
        }
    }
}

const GROUP: &str = "everyframe";

/// Longer than a killed host's partitions are without one.
const STILL: Duration = Duration::from_secs(20);

/// A broker with its data in a temporary folder, and a configuration that names it. A broker starts in a twentieth
/// of a second, so that each test has its own.
pub struct Site {
    // Dropped in this order: the broker before its folder.
    followers: RefCell<BTreeMap<Topic, Follower>>,
    broker: RefCell<Option<Part>>,
    address: String,
    partitions: i32,
    folder: TempDir,
}

impl Site {
    /// With the three rules as they come, and so many partitions.
    pub fn start(partitions: i32) -> Self {
        let folder = tempfile::Builder::new().prefix("everyframe-test-").tempdir().expect("a folder");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let (followers, broker) = (RefCell::default(), RefCell::default());
        let site = Self { followers, broker, address, partitions, folder };
        site.start_broker();
        site.configure("", &shipped_rules(""));
        site
    }

    /// Starts the broker: at the same address and with the same data as before, if it was stopped.
    pub fn start_broker(&self) {
        // It ends with this process, whatever becomes of it: its standard input closes.
        let broker = Part::start(
            "broker",
            self.folder(),
            Command::new(places::binary("everyframe-broker"))
                .args(["--listen", &self.address, "--until-stdin-closes", "--data"])
                .arg(self.folder().join("broker"))
                .stdin(Stdio::piped()),
        );
        wait_for("the broker", || TcpStream::connect(&self.address).ok());
        self.broker.replace(Some(broker));
    }

    /// Ends the broker at once, as a crash would.
    pub fn stop_broker(&self) {
        self.broker.take().expect("the broker runs").kill();
    }

    /// Host and port of the broker.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A folder that is removed with the site.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("everyframe.toml")
    }

    /// Writes the configuration: `tables` (`[intake]` and so on) and `rules` go into it as they are.
    pub fn configure(&self, tables: &str, rules: &str) {
        let (address, partitions) = (&self.address, self.partitions);
        // The partitions of a killed host come back after the session's time, so it is short.
        let text = format!(
            "[kafka]\nbrokers = \"{address}\"\ngroup = \"{GROUP}\"\n\n\
             [kafka.consumer]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n\n\
             [topics]\npartitions = {partitions}\n\n{tables}\n{rules}"
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

    /// Runs `everyframe` with these words and `--config`, to its end.
    pub fn everyframe(&self, words: &[&str]) -> Ended {
        part::run(self.folder(), self.command(words).arg("--config").arg(self.config()))
    }

    /// Runs any other command to its end.
    pub fn run(&self, command: &mut Command) -> Ended {
        part::run(self.folder(), command)
    }

    /// Starts `everyframe` with these words and `--config`, and leaves it running.
    pub fn start_everyframe(&self, name: &str, words: &[&str]) -> Part {
        Part::start(name, self.folder(), self.command(words).arg("--config").arg(self.config()))
    }

    /// `everyframe` with these words, in the site's folder.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(places::binary("everyframe"));
        command.args(words).current_dir(self.folder()).stdin(Stdio::null()).env_remove("RUST_LOG");
        // Spools, which would otherwise be one for all tests.
        command.env("EVERYFRAME_STATE", self.folder().join("state"));
        command
    }

    /// A host, as soon as it has a partition.
    pub fn host(&self) -> Part {
        self.host_called("host")
    }

    /// A host whose log is called after `name`.
    pub fn host_called(&self, name: &str) -> Part {
        let mut host = self.start_everyframe(name, &["run"]);
        wait_for("the host to be given a partition", || {
            assert!(host.is_running(), "{name} ended early: {}", host.err());
            host.err().contains("partition assigned").then_some(())
        });
        host
    }

    /// Creates the frames topic, for tests that send frames before any command has made it.
    pub fn create_frames_topic(&self) {
        kafka::create(&self.address, Topic::Frames.name(), self.partitions);
    }

    /// The topics that there are.
    pub fn topics(&self) -> Vec<String> {
        kafka::topics(&self.address)
    }

    /// Sends frames in order; tells partition and offset of each.
    pub fn send(&self, frames: &[Frame]) -> Vec<(i32, i64)> {
        kafka::send(&self.address, Topic::Frames.name(), frames)
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
        self.everyframe(&words).well();
    }

    /// Everything in a topic now.
    pub fn read(&self, topic: Topic) -> Vec<Record> {
        let mut followers = self.followers.borrow_mut();
        let follower = followers.entry(topic).or_insert_with(|| Follower::new(&self.address, topic.name()));
        follower.update();
        follower.records.clone()
    }

    /// Waits until a topic has so many records, and gives those that it has then.
    pub fn wait_for_records(&self, topic: Topic, count: usize) -> Vec<Record> {
        wait_for(&format!("{count} records in {}", topic.name()), || {
            let records = self.read(topic);
            (records.len() >= count).then_some(records)
        })
    }

    /// Waits until every frame sent is accounted for, and gives the account: exit status and JSON.
    pub fn settled_audit(&self) -> (Option<i32>, Value) {
        // Asking for the ends of the topics costs nothing; the audit reads them all. When nothing moves any more, it
        // says what is missing.
        let end = |topic: Topic| kafka::records(&self.address, topic.name());
        let (mut done, mut still_since) = (0, Instant::now());
        while done < end(Topic::Frames) && still_since.elapsed() < STILL {
            std::thread::sleep(Duration::from_millis(50));
            let now = end(Topic::Results) + end(Topic::DeadLetters);
            if now != std::mem::replace(&mut done, now) {
                still_since = Instant::now();
            }
        }
        wait_for("every frame to be accounted for", || {
            let (code, report) = self.audit();
            (report["total"]["waiting"] == 0).then_some((code, report))
        })
    }

    /// What the audit says now: exit status and JSON.
    pub fn audit(&self) -> (Option<i32>, Value) {
        let audit = self.everyframe(&["audit", "--json"]);
        let report = serde_json::from_str(&audit.out);
        (audit.code, report.unwrap_or_else(|error| panic!("{error}: {}{}", audit.out, audit.err)))
    }

    /// Moves the host's group to this offset; its hosts must be away.
    pub fn commit(&self, partition: i32, offset: i64) {
        kafka::commit(&self.address, GROUP, Topic::Frames.name(), partition, offset);
    }
}

/// The three rules that come with Everyframe; `settings` is the alert rule's.
pub fn shipped_rules(settings: &str) -> String {
    let others = rule("strangers", "unknown-person", &places::rule("unknown_person"), "")
        + &rule("alerts", "alerting", &places::rule("alerting"), settings);
    rule("who", "matching-policy", &places::rule("matching_policy"), "") + &others
}

/// One rule as TOML.
pub fn rule(name: &str, kind: &str, component: &Path, settings: &str) -> String {
    format!(
        "[[rules]]\nname = \"{name}\"\nkind = \"{kind}\"\ncomponent = \"{}\"\n\n[rules.settings]\n{settings}\n\n",
        component.display()
    )
}
