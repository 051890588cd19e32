//! `everyframe broker`: the single Kafka node survives crashes, and reports obstacles at its start.

use everyframe_tests::{Part, WAIT_TIMEOUT, free_port, places};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder and an address for a broker.
struct Place {
    folder: TempDir,
    address: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("everyframe-test-").tempdir().expect("a folder");
        Self { folder, address: format!("127.0.0.1:{}", free_port()) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(places::binary("everyframe"));
        command.args(["broker", "--listen", &self.address, "--data"]).arg(self.path().join("data"));
        command.stdin(Stdio::null()).env_remove("RUST_LOG");
        command
    }

    /// Starts a broker, and waits until it answers.
    fn broker(&self, log: &str, command: &mut Command) -> Part {
        let mut broker = Part::start(log, self.path(), command);
        broker.wait_for_word("broker answers at");
        broker
    }

    /// Runs a broker that fails, and returns its standard error.
    fn refusal(&self, command: &mut Command) -> String {
        let ended = Part::start("refused", self.path(), command).end();
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        ended.err
    }

    fn send(&self, value: &str) {
        let producer: BaseProducer = self.client().set("acks", "all").create().expect("a producer");
        producer.send(BaseRecord::<(), str>::to("kept").payload(value)).expect("room for a record");
        producer.flush(WAIT_TIMEOUT).expect("it is acknowledged");
    }

    fn count(&self) -> i64 {
        let consumer: BaseConsumer = self.client().create().expect("a consumer");
        consumer.fetch_watermarks("kept", 0, WAIT_TIMEOUT).expect("the topic is there").1
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.address);
        client
    }

    /// Allows producers to create topics, so that this test needs no admin client.
    fn with_topics(&self) -> Command {
        let settings = self.path().join("more.properties");
        std::fs::write(&settings, "auto.create.topics.enable=true\n").expect("a file");
        let mut command = self.command();
        command.arg("--settings").arg(settings);
        command
    }

    /// The process id of Kafka itself.
    fn node(&self) -> u32 {
        let id =
            std::fs::read_to_string(self.path().join("data/node.pid")).expect("a node that runs has an id");
        id.trim().parse().expect("a number")
    }
}

fn is_running(process: u32) -> bool {
    // A process that has ended but was not waited for is a zombie; it does not count as running.
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn wait_for_the_end_of(process: u32) {
    everyframe_tests::wait_for("the end of the node", || (!is_running(process)).then_some(()));
}

#[test]
fn acknowledged_records_survive_a_crash() {
    let place = Place::new();
    let broker = place.broker("first", &mut place.with_topics());
    place.send("one");
    let node = place.node();
    broker.kill();
    wait_for_the_end_of(node);

    let broker = place.broker("second", &mut place.with_topics());
    assert_eq!(place.count(), 1);
    place.send("two");
    // This time only Kafka is killed; the command reports its end.
    let killed = Command::new("kill").args(["-KILL", &place.node().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    let ended = broker.end();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("everyframe: Kafka ended (signal: 9"), "{}", ended.err);

    let broker = place.broker("third", &mut place.with_topics());
    assert_eq!(place.count(), 2);
    let ended = broker.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "one line: {}", ended.err);
    assert!(!place.path().join("data/node.pid").exists());
}

#[test]
fn it_ends_with_its_parent_if_asked_to() {
    let place = Place::new();
    let mut command = place.command();
    // The test's end of the pipe closes together with the child that holds it.
    let mut parent = Command::new("sleep").arg("600").stdout(Stdio::piped()).spawn().expect("a process");
    command.arg("--until-stdin-closes").stdin(parent.stdout.take().expect("a pipe"));
    let broker = place.broker("broker", &mut command);
    drop(command);
    let node = place.node();
    parent.kill().expect("it runs");
    parent.wait().expect("it ends");
    assert_eq!(broker.end().code, Some(0));
    assert!(!is_running(node));
}

#[test]
fn a_second_node_with_the_same_folder_or_port_is_refused() {
    let place = Place::new();
    let _broker = place.broker("broker", &mut place.command());
    let other = Place { folder: Place::new().folder, address: place.address.clone() };
    let said = other.refusal(&mut other.command());
    assert!(said.contains(&format!("{} is taken: another program listens there", place.address)), "{said}");
    let mut same_folder = place.command();
    same_folder.args(["--retention-hours", "1"]);
    let said = place.refusal(&mut same_folder);
    assert!(said.contains(&format!("is in use by another node (process {})", place.node())), "{said}");
}

#[test]
fn obstacles_are_named_before_anything_starts() {
    let place = Place::new();
    let taken = TcpListener::bind(&place.address).expect("the port is free");
    let said = place.refusal(&mut place.command());
    assert!(said.contains("is taken: another program listens there"), "{said}");
    drop(taken);

    let said = place.refusal(place.command().env("EVERYFRAME_CACHE", place.path()).env_remove("JAVA_HOME"));
    assert!(said.contains("no Kafka in") && said.contains("EVERYFRAME_KAFKA"), "{said}");

    let jars = places::cached("kafka");
    let mut without_java = place.command();
    without_java.env("EVERYFRAME_CACHE", place.path()).env("EVERYFRAME_KAFKA", jars);
    let said = place.refusal(without_java.env("JAVA_HOME", "/nowhere").env("PATH", "/nowhere"));
    assert!(said.contains("no Java 17 or newer to run Kafka on; looked for"), "{said}");
    assert!(said.contains("JAVA_HOME (not there), java on the PATH (none)"), "{said}");

    let photos = place.path().join("photos");
    std::fs::create_dir(&photos).expect("a folder");
    std::fs::write(photos.join("a.jpg"), "").expect("a file");
    let said =
        place.refusal(Command::new(places::binary("everyframe")).args(["broker", "--data"]).arg(&photos));
    assert!(said.contains("is not a folder of this node: it holds `a.jpg`"), "{said}");

    let data = place.path().join("data/data");
    std::fs::create_dir_all(&data).expect("a folder");
    std::fs::write(data.join("meta.properties"), "version=2\nnode.id=1\n").expect("a file");
    let said = place.refusal(&mut place.command());
    assert!(said.contains("have format 2, and this Kafka reads format 1"), "{said}");
}
