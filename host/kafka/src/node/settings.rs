//! A node's settings: its `server.properties`.

use super::NodeError;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The range for ports that the user did not choose, such as the controller's. It lies below the ports that Linux uses for
/// outgoing connections: one of these could take the port just before the node listens.
const PORTS: Range<u16> = 32_000..32_768;

/// Warnings and errors, each on one line, to standard output: that goes to `kafka.log`.
const LOGGING: &str = "\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd HH:mm:ss.SSS} %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
";

/// The settings of a node besides its folder and address. The file of `--settings` overrides them.
const DEFAULTS: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"),
    ("auto.create.topics.enable", "false"),
    // One copy of everything, transactions included.
    ("default.replication.factor", "1"),
    ("min.insync.replicas", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("offsets.topic.num.partitions", "6"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("transaction.state.log.num.partitions", "6"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    // A host starts at once rather than wait for others to join.
    ("group.initial.rebalance.delay.ms", "0"),
    // Transactions of killed hosts are aborted soon after their time-out.
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"),
    // There is one copy. Flushing twice a second limits the loss of a power cut to the last second.
    ("log.flush.interval.ms", "500"),
    ("log.flush.scheduler.interval.ms", "500"),
    // Retention deletes whole segments. Small segments and frequent checks keep the disk close to its limit.
    ("log.segment.bytes", "134217728"),
    ("log.retention.check.interval.ms", "60000"),
    // Half of the heap otherwise.
    ("log.cleaner.dedupe.buffer.size", "16777216"),
];

/// The options of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its folder.
    pub data: PathBuf,
    /// Where clients reach it.
    pub listen: Listen,
    /// Retention of topics without a `retention.ms` of their own, hours.
    pub retention_hours: u64,
    /// Retention of topics without a `retention.bytes` of their own, bytes of each partition.
    pub retention_bytes: u64,
    /// A file in the form of Kafka's `server.properties`; what it says wins. Two keys are ours: `everyframe.cluster.id`,
    /// and `everyframe.users` (`name=password`, comma between), which a new store gets as SCRAM-SHA-512 users.
    pub settings: Option<PathBuf>,
}

impl NodeOptions {
    /// Hours that records stay by default.
    pub const RETENTION_HOURS: u64 = 72;
    /// Bytes of a partition that stay by default: 4 GiB.
    pub const RETENTION_BYTES: u64 = 4 << 30;

    /// The defaults, in this folder and at this address.
    pub fn new(data: PathBuf, listen: Listen) -> Self {
        Self {
            data,
            listen,
            retention_hours: Self::RETENTION_HOURS,
            retention_bytes: Self::RETENTION_BYTES,
            settings: None,
        }
    }
}

/// The address that the node advertises to clients: a host name or IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    text: String,
    addresses: Vec<SocketAddr>,
}

impl Listen {
    /// Takes `host:port`, `[::1]:9092` included, and looks the name up.
    ///
    /// # Errors
    /// [`NodeError::Address`] if it is no such address, if the name is not known, or if it is no place to come back to
    /// (`0.0.0.0`).
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let refused = |reason: String| NodeError::Address { address: text.to_owned(), reason };
        let port = text.rsplit_once(':').and_then(|(host, port)| {
            let port: u16 = port.parse().ok()?;
            (!host.is_empty() && port > 0).then_some(port)
        });
        if port.is_none() {
            return Err(refused("give a host and a port, as in 127.0.0.1:9092".into()));
        }
        let addresses: Vec<SocketAddr> =
            text.to_socket_addrs().map_err(|error| refused(error.to_string()))?.collect();
        if addresses.iter().any(|address| address.ip().is_unspecified()) {
            return Err(refused(
                "clients come back to this address, so give one of the machine's own addresses or names"
                    .into(),
            ));
        }
        Ok(Self { text: text.to_owned(), addresses })
    }

    /// A free port of this machine itself.
    ///
    /// # Errors
    /// [`NodeError::Io`] if there is none.
    pub fn on_a_free_port() -> Result<Self, NodeError> {
        Self::parse(&format!("127.0.0.1:{}", free_port()?))
    }

    /// `host:port`, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if only programs of this machine reach it.
    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().is_loopback())
    }
}

/// A free port of [`PORTS`]: the next one at each call, and beginning somewhere else in each process.
fn free_port() -> Result<u16, NodeError> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(97);
    for _ in 0..count {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (first.wrapping_add(call) % count) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(NodeError::Address {
        address: "127.0.0.1".into(),
        reason: format!("no free port from {} to {}", PORTS.start, PORTS.end - 1),
    })
}

/// A node's properties, and what a new store gets.
#[derive(Debug)]
pub(super) struct Settings {
    properties: BTreeMap<String, String>,
    /// The identity of a new store; a random one if the settings don't give it.
    pub(super) cluster_id: Option<String>,
    /// `name=password` of each SCRAM user of a new store.
    pub(super) users: Vec<String>,
    listen: Listen,
    own_listener: bool,
}

impl Settings {
    pub(super) fn new(options: &NodeOptions) -> Result<Self, NodeError> {
        let mut properties: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut set = |key: &str, value: String| properties.insert(key.to_owned(), value);
        set("log.retention.hours", options.retention_hours.to_string());
        set("log.retention.bytes", options.retention_bytes.to_string());
        let own = options.settings.as_deref().map(read).transpose()?.unwrap_or_default();
        let own_listener = !own.contains_key("listeners");
        if own_listener {
            let controller = free_port()?;
            let plain = format!("PLAINTEXT://{}", options.listen.text());
            set("listeners", format!("{plain},CONTROLLER://127.0.0.1:{controller}"));
            set("advertised.listeners", plain);
            set("controller.quorum.voters", format!("1@127.0.0.1:{controller}"));
        }
        properties.extend(own);
        let cluster_id = properties.remove("everyframe.cluster.id");
        let users = properties.remove("everyframe.users").unwrap_or_default();
        let users = users.split(',').map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned);
        let users = users.collect();
        let listen =
            if own_listener { options.listen.clone() } else { Listen::parse(plain_of(&properties)?)? };
        Ok(Self { properties, cluster_id, users, listen, own_listener })
    }

    /// `host:port` of the plain listener.
    pub(super) fn address(&self) -> &str {
        self.listen.text()
    }

    pub(super) fn node_id(&self) -> &str {
        self.properties.get("node.id").map_or("1", String::as_str)
    }

    /// Fails if another process listens at the node's address. Kafka itself would fail with a stack trace.
    pub(super) fn check_ports(&self) -> Result<(), NodeError> {
        let address = self.address().to_owned();
        for at in &self.listen.addresses {
            match TcpListener::bind(at) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    return Err(NodeError::AddressTaken { address });
                }
                Err(error) => return Err(NodeError::Address { address, reason: error.to_string() }),
            }
        }
        if self.own_listener && !self.listen.is_loopback() {
            tracing::warn!(
                "whoever reaches {address} can read and write everything: there is no authentication and no encryption"
            );
        }
        Ok(())
    }

    /// Writes the files that Kafka reads into the node's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<(), NodeError> {
        self.write_properties(folder, &folder.join("data"), "server.properties")?;
        let logging = folder.join("logging.properties");
        std::fs::write(&logging, LOGGING).map_err(NodeError::io(&logging))
    }

    /// The same properties for a store that lies elsewhere.
    pub(super) fn write_properties(
        &self,
        folder: &Path,
        data: &Path,
        name: &str,
    ) -> Result<PathBuf, NodeError> {
        let mut text = String::from("# Written by `everyframe broker` at each start; changes are lost.\n");
        for (key, value) in &self.properties {
            let _ = writeln!(text, "{key}={value}");
        }
        let _ = writeln!(text, "log.dirs={}", data.display());
        let path = folder.join(name);
        // Passwords of key stores may be in it.
        let file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(NodeError::io(&path))?;
        Ok(path)
    }
}

/// Reads `key=value` lines; `#` and `!` begin a comment.
fn read(file: &Path) -> Result<BTreeMap<String, String>, NodeError> {
    let refused = |reason: String| NodeError::Settings { file: file.to_owned(), reason };
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with(['#', '!']));
    lines
        .map(|(line, number)| match line.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(refused(format!("line {number} is not KEY=VALUE"))),
        })
        .collect()
}

/// The address of the listener called PLAINTEXT: the node is asked there whether it answers.
fn plain_of(properties: &BTreeMap<String, String>) -> Result<&str, NodeError> {
    let listeners = properties.get("listeners").map_or("", String::as_str);
    listeners.split(',').find_map(|listener| listener.trim().strip_prefix("PLAINTEXT://")).ok_or_else(|| {
        NodeError::Address {
            address: listeners.to_owned(),
            reason: "`listeners` needs one called PLAINTEXT with a host and a port".into(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_clients_can_come_back_to() {
        assert!(Listen::parse("127.0.0.1:9092").unwrap().is_loopback());
        assert!(Listen::parse("[::1]:9092").unwrap().is_loopback());
        for (address, reason) in [
            ("127.0.0.1", "give a host and a port"),
            (":9092", "give a host and a port"),
            ("127.0.0.1:0", "give a host and a port"),
            ("0.0.0.0:9092", "come back"),
            ("[::]:9092", "come back"),
        ] {
            let error = Listen::parse(address).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn settings_of_a_file_win_and_ours_stay_out_of_kafkas() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.properties");
        let text = "# a comment\nnode.id = 3\nlisteners=SSL://127.0.0.1:1,PLAINTEXT://127.0.0.1:2\n\
                    everyframe.cluster.id=abc\neveryframe.users=ann=1,ben=2\n";
        std::fs::write(&file, text).unwrap();
        let mut options = NodeOptions::new(folder.path().to_owned(), Listen::parse("127.0.0.1:9").unwrap());
        options.settings = Some(file.clone());
        let settings = Settings::new(&options).unwrap();
        assert_eq!((settings.address(), settings.node_id()), ("127.0.0.1:2", "3"));
        assert_eq!(settings.cluster_id.as_deref(), Some("abc"));
        assert_eq!(settings.users, ["ann=1", "ben=2"]);
        settings.write(folder.path()).unwrap();
        let written = std::fs::read_to_string(folder.path().join("server.properties")).unwrap();
        assert!(written.contains("\nnode.id=3\n") && !written.contains("everyframe."), "{written}");

        std::fs::write(&file, "node.id\n").unwrap();
        let error = Settings::new(&options).unwrap_err().to_string();
        assert!(error.ends_with("line 1 is not KEY=VALUE"), "{error}");
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let options = NodeOptions::new("data".into(), Listen::parse(&address).unwrap());
        let error = Settings::new(&options).unwrap().check_ports().unwrap_err();
        assert!(matches!(error, NodeError::AddressTaken { address: named } if named == address));
    }
}
