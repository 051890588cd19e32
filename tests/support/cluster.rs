//! An Apache Kafka cluster of three nodes, which tests can kill, stop, pause and restart.
//!
//! `scripts/kafka.py` prepares the nodes, and `everyframe broker` runs them: replication factor 3, two in sync, three
//! listeners each. They end with this process, also after a crash, and their folder is removed.
//!
//! With `EVERYFRAME_TEST_BROKERS=host:port,...` the tests use that cluster instead. Tests that would break it are skipped
//! with a message.

use crate::kafka::{self, Metadata};
use crate::part::{self, Part};
use crate::{places, wait_for};
use serde_json::Value;
use std::net::TcpStream;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// The ids of the nodes.
pub const NODES: [i32; 3] = [1, 2, 3];

/// A listener of the nodes.
#[derive(Debug, Clone, Copy)]
pub enum Listener {
    /// Neither encrypted nor authenticated; the tests' own clients use it.
    Plain,
    /// TLS, with user and password by SCRAM-SHA-512.
    SaslSsl,
    /// TLS without a user.
    Ssl,
}

impl Listener {
    fn key(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::SaslSsl => "sasl_ssl",
            Self::Ssl => "ssl",
        }
    }
}

/// A cluster of three nodes, or an external cluster. Several tests can use it at once.
pub struct Cluster {
    brokers: String,
    own: Option<Own>,
}

/// The parts of a cluster that the tests started themselves.
struct Own {
    nodes: [Mutex<Node>; 3],
    layout: Value,
    folder: PathBuf,
}

/// One node, with its process while it runs.
struct Node {
    part: Option<Part>,
    paused: bool,
    starts: u32,
}

/// The bootstrap brokers of an external cluster, if the tests shall use one.
pub(crate) fn others() -> Option<String> {
    std::env::var("EVERYFRAME_TEST_BROKERS").ok().filter(|brokers| !brokers.is_empty())
}

/// Tests that need every node hold it for reading, and a test that breaks nodes holds it for writing: a command gives up
/// sooner than a partition whose leader died has a new one.
static WHOLE: RwLock<()> = RwLock::new(());

impl Cluster {
    /// The cluster that all tests share. The first call starts it.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| others().map_or_else(Self::start, |brokers| Self { brokers, own: None }))
    }

    /// The shared cluster with all of its nodes. A test calls this once, or the lock may block it.
    pub fn whole() -> Whole {
        // A poisoned lock is fine: the guard of the failed test has repaired the cluster.
        let hold = WHOLE.read().unwrap_or_else(PoisonError::into_inner);
        Whole { cluster: Self::shared(), _hold: hold }
    }

    /// As [`Cluster::whole`], for a test that needs its users, certificates or nodes. `None`, with a message, for an external
    /// cluster.
    pub fn ours(test: &str) -> Option<Whole> {
        let whole = Self::whole();
        whole.is_own(test).then_some(whole)
    }

    /// The shared cluster, for a test that breaks nodes, while no other test uses it. Dropping the guard repairs the cluster.
    /// `None`, with a message, for an external cluster.
    pub fn to_break(test: &str) -> Option<Broken> {
        let hold = WHOLE.write().unwrap_or_else(PoisonError::into_inner);
        let cluster = Self::shared();
        cluster.is_own(test).then(|| {
            cluster.wait_until_whole();
            Broken { cluster, _hold: hold }
        })
    }

    fn is_own(&self, test: &str) -> bool {
        if self.own.is_none() {
            eprintln!("{test}: skipped, it needs a cluster of its own and EVERYFRAME_TEST_BROKERS is set");
        }
        self.own.is_some()
    }

    /// Starts another cluster, for a test that needs one of its own. Takes about eight seconds.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("everyframe-kafka-").tempdir().expect("a folder");
        // The nodes remove the folder themselves, because nothing in this process outlives the last test.
        let folder = folder.keep();
        let prepared =
            Part::start("prepare", &folder, script().arg("prepare").arg(&folder).stdin(Stdio::null()));
        prepared.end().expect_success();
        let layout = std::fs::read(folder.join("cluster.json")).expect("a prepared cluster has a layout");
        let layout: Value = serde_json::from_slice(&layout).expect("the layout is JSON");
        let nodes = NODES.map(|_| Mutex::new(Node { part: None, paused: false, starts: 0 }));
        let brokers = addresses(&layout, Listener::Plain);
        let cluster = Self { brokers, own: Some(Own { nodes, layout, folder }) };
        for node in NODES {
            cluster.begin(node);
        }
        cluster.wait_until_whole();
        cluster
    }

    /// The bootstrap brokers of the plain listener: `host:port,host:port,host:port`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The bootstrap brokers of a listener.
    pub fn brokers_of(&self, listener: Listener) -> String {
        addresses(&self.own().layout, listener)
    }

    /// The certificate of the authority that signed the nodes' certificates (PEM).
    pub fn ca(&self) -> PathBuf {
        self.own().folder.join("ca.pem")
    }

    /// A user with all rights.
    pub fn user(&self) -> &str {
        self.own().layout["user"].as_str().expect("a prepared cluster has a user")
    }

    /// A user with the same password and no rights.
    pub fn stranger(&self) -> &str {
        self.own().layout["stranger"].as_str().expect("a prepared cluster has a stranger")
    }

    /// The file with the password, followed by a line break.
    pub fn password_file(&self) -> PathBuf {
        self.own().folder.join("password")
    }

    /// Lines of `[kafka.properties]` for a user at the listener with TLS and passwords.
    pub fn properties_of(&self, user: &str) -> String {
        properties(user, &self.password_file(), &self.ca())
    }

    /// Changes the rights of a user: see `fixtures/rights.py`.
    pub fn rights(&self, change: &str, user: &str, name: &str) {
        let mut python = Command::new(places::cached("python/bin/python"));
        python.arg(places::repository("tests/fixtures/rights.py")).args([self.brokers(), change, user, name]);
        crate::part::run(&self.own().folder, &mut python).expect_success();
    }

    /// The process id of Kafka in a running node.
    pub fn pid(&self, node: i32) -> u32 {
        self.node(node).running(node);
        let path = self.own().folder.join(format!("node-{node}/node.pid"));
        let text = std::fs::read_to_string(path).expect("a node that runs has an id");
        text.trim().parse().expect("the id is a number")
    }

    /// The CPU time of all nodes together since they started.
    pub fn cpu_time(&self) -> Duration {
        NODES.iter().map(|node| part::cpu_time(self.pid(*node))).sum()
    }

    /// Ends a node by SIGKILL, like a crash. It keeps its data.
    pub fn kill(&self, node: i32) {
        let mut at = self.node(node);
        at.running(node);
        (at.paused, at.part) = (
            false,
            at.part.take().and_then(|part| {
                part.kill();
                None
            }),
        );
    }

    /// Ends a node by SIGTERM and waits. The node hands its partitions over first.
    pub fn stop(&self, node: i32) {
        let mut at = self.node(node);
        at.running(node);
        if let Some(part) = at.part.take() {
            part.terminate();
        }
    }

    /// Restarts a node that was killed or stopped, and waits until it accepts connections. It may need some seconds more to
    /// catch up: see [`Cluster::wait_until_whole`].
    pub fn restart(&self, node: i32) {
        self.begin(node);
        self.wait_for_node(node);
    }

    fn wait_for_node(&self, node: i32) {
        let address = format!("127.0.0.1:{}", self.own().layout["nodes"][node.to_string()]["plain"]);
        wait_for(&format!("node {node} to come back"), || TcpStream::connect(&address).ok());
    }

    /// Pauses a node (SIGSTOP): it keeps its connections open, and does not answer.
    pub fn pause(&self, node: i32) {
        part::signal(self.pid(node), "STOP");
        self.node(node).paused = true;
    }

    /// Resumes a paused node (SIGCONT).
    pub fn resume(&self, node: i32) {
        part::signal(self.pid(node), "CONT");
        self.node(node).paused = false;
    }

    /// Waits for a leader of a partition, and returns its node.
    pub fn leader(&self, topic: &str, partition: i32) -> i32 {
        wait_for(&format!("a leader of {topic}/{partition}"), || {
            let metadata = kafka::metadata(&self.brokers)?;
            metadata.partitions.get(&(topic.to_owned(), partition)).and_then(|found| found.leader)
        })
    }

    /// The node that coordinates a consumer group. Some group must have existed before.
    pub fn group_coordinator(&self, group: &str) -> i32 {
        self.coordinator("__consumer_offsets", group)
    }

    /// The node that coordinates the transactions of a `transactional.id`. Some transaction must have existed before.
    pub fn transaction_coordinator(&self, id: &str) -> i32 {
        self.coordinator("__transaction_state", id)
    }

    /// Waits until all nodes run and every replica of every partition is in sync.
    pub fn wait_until_whole(&self) {
        let whole = |metadata: &Metadata| {
            let in_sync =
                metadata.partitions.values().all(|at| at.leader.is_some() && at.in_sync == at.replicas);
            metadata.brokers.len() >= NODES.len() && in_sync
        };
        wait_for("the cluster to be whole", || kafka::metadata(&self.brokers).filter(whole));
    }

    /// Resumes and restarts all nodes, and waits until the cluster is whole.
    pub fn mend(&self) {
        let mut away = Vec::new();
        for node in NODES {
            let (is_paused, is_away) = {
                let at = self.node(node);
                (at.paused, at.part.is_none())
            };
            if is_paused {
                self.resume(node);
            }
            if is_away {
                away.push(node);
            }
        }
        // All at once: a single node has no quorum, and accepts no connections.
        away.iter().for_each(|node| self.begin(*node));
        away.iter().for_each(|node| self.wait_for_node(*node));
        self.wait_until_whole();
    }

    fn begin(&self, node: i32) {
        let mut at = self.node(node);
        assert!(at.part.is_none(), "node {node} runs already");
        at.starts += 1;
        let folder = &self.own().folder;
        // A log for each start, so that the log from before a kill is kept.
        let name = format!("node-{node}-start-{}", at.starts);
        let mut command = Command::new(places::binary("everyframe"));
        command
            .args(["broker", "--data"])
            .arg(folder.join(format!("node-{node}")))
            .arg("--settings")
            .arg(folder.join(format!("node-{node}.properties")))
            .arg("--until-stdin-closes")
            .arg("--remove")
            .arg(folder)
            .stdin(Stdio::piped());
        at.part = Some(Part::start(&name, folder, &mut command));
    }

    /// Finds a coordinator as Kafka does: it is the leader of the internal topic's partition to which the name hashes.
    fn coordinator(&self, topic: &str, of: &str) -> i32 {
        let count = wait_for(&format!("partitions of {topic}"), || {
            let metadata = kafka::metadata(&self.brokers)?;
            let count = metadata.partitions.keys().filter(|(name, _)| name == topic).count();
            i32::try_from(count).ok().filter(|count| *count > 0)
        });
        // Java's `String.hashCode`, without its sign.
        let hash = of.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        self.leader(topic, (hash & i32::MAX) % count)
    }

    fn own(&self) -> &Own {
        self.own.as_ref().expect("ask for it with Cluster::ours or Cluster::to_break")
    }

    fn node(&self, node: i32) -> MutexGuard<'_, Node> {
        let place = NODES.iter().position(|number| *number == node).expect("the nodes are 1, 2 and 3");
        self.own().nodes[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn running(&mut self, node: i32) -> &Part {
        let part = self.part.as_mut().unwrap_or_else(|| panic!("node {node} was killed or stopped before"));
        assert!(part.is_running(), "node {node} ended by itself: {}", part.out());
        part
    }
}

/// The shared cluster, which no test breaks meanwhile.
pub struct Whole {
    cluster: &'static Cluster,
    _hold: RwLockReadGuard<'static, ()>,
}

impl Deref for Whole {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster
    }
}

/// The shared cluster, for the one test that may break it now. It is repaired when dropped.
pub struct Broken {
    cluster: &'static Cluster,
    _hold: RwLockWriteGuard<'static, ()>,
}

impl Deref for Broken {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        // A second panic would abort all tests. The next test that breaks the cluster waits for it anyway.
        let mended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.cluster.mend()));
        if mended.is_err() {
            eprintln!("the cluster could not be mended");
        }
    }
}

/// Lines of `[kafka.properties]` for a user whose password is in this file.
pub fn properties(user: &str, password: &Path, ca: &Path) -> String {
    format!(
        "\"security.protocol\" = \"SASL_SSL\"\n\"ssl.ca.location\" = \"{}\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
         \"sasl.username\" = \"{user}\"\n\"sasl.password\" = {{ file = \"{}\" }}",
        ca.display(),
        password.display()
    )
}

fn addresses(layout: &Value, listener: Listener) -> String {
    layout[listener.key()].as_str().expect("the layout has the addresses of each listener").to_owned()
}

fn script() -> Command {
    Command::new(places::script("kafka.py"))
}

/// Creates the certificate of another authority, which signed nothing of the cluster.
pub fn other_ca(folder: &Path) -> PathBuf {
    let (key, certificate) = (folder.join("other-key.pem"), folder.join("other-ca.pem"));
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=Another CA", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(&certificate);
    crate::part::run(folder, &mut openssl).expect_success();
    certificate
}
