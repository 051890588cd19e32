#!/usr/bin/env python3
"""A real Apache Kafka of three nodes on this machine, for tests and for trials.

    kafka.py prepare FOLDER [--port PORT] [--temporary]
    kafka.py node FOLDER NUMBER [--until-stdin-closes]
    kafka.py start FOLDER [--port PORT]
    kafka.py stop FOLDER
    kafka.py status FOLDER

`prepare` lays out a new cluster in FOLDER: ports, certificates, a user, settings and an empty store for each node.
`node` becomes one of its nodes, 1 to 3, under this process's own id. `start` prepares the folder where it is new, starts
all nodes in the background and says how to reach them; `stop` ends them and keeps the data.

The nodes are brokers and controllers in one (KRaft), and listen on 127.0.0.1 only, on these ports each:
PORT plain, + 1 controllers among themselves, + 2 SASL_SSL with SCRAM-SHA-512, + 3 SSL; the next node 10 higher.
Without --port they are free ones. FOLDER/cluster.json tells all of it.
"""

import argparse
import base64
import json
import os
import random
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

NODES = (1, 2, 3)
USER, STRANGER = "everyframe", "stranger"
# Small and quick to start: a cluster of a test must leave the machine to the test.
JVM = ["-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
# What a node gets to end in good order; two that went first leave the third without a majority to say goodbye to.
GOODBYE_SECONDS = 10
START_SECONDS = 60

LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
"""

SETTINGS = """\
process.roles=broker,controller
node.id={node}
log.dirs={folder}/node-{node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{sasl_ssl},SSL://127.0.0.1:{ssl}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{sasl_ssl},SSL://127.0.0.1:{ssl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/keystore.pem
# Who comes without a certificate or a password is anonymous, the nodes themselves among them.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user}
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=6
share.coordinator.state.topic.replication.factor=3
# A fault is noticed, and a group formed, at once: otherwise each test would wait for it.
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# 128 MB of the heap otherwise.
log.cleaner.dedupe.buffer.size=16777216
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("prepare", "node", "start", "stop", "status"):
        words = commands.add_parser(command)
        words.add_argument("folder", type=Path)
        if command in ("prepare", "start"):
            words.add_argument("--port", type=int, help="the first node's first port")
        if command == "prepare":
            words.add_argument(
                "--temporary", action="store_true", help="a node whose standard input closes removes the folder"
            )
        if command == "node":
            words.add_argument("number", type=int, choices=NODES)
            words.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started it is gone")
    given = parser.parse_args()
    folder = given.folder.absolute()
    if given.command == "prepare":
        prepare(folder, given.port, given.temporary)
    elif given.command == "node":
        node(folder, given.number, given.until_stdin_closes)
    elif given.command == "start":
        start(folder, given.port)
    elif given.command == "stop":
        stop(folder)
    else:
        sys.exit(status(folder))


def prepare(folder, port, temporary):
    """Lays out a new cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "cluster.json").exists():
        sys.exit(f"{folder} holds a cluster already; start it, or remove the folder")
    ports = {node: first for node, first in zip(NODES, given_ports(port) if port else free_ports())}
    cluster = {
        "nodes": {str(node): {"plain": p, "controller": p + 1, "sasl_ssl": p + 2, "ssl": p + 3} for node, p in ports.items()},
        "user": USER,
        "stranger": STRANGER,
        "temporary": temporary,
    }
    for listener in ("plain", "sasl_ssl", "ssl"):
        cluster[listener] = ",".join(f"127.0.0.1:{at[listener]}" for at in cluster["nodes"].values())
    certificates(folder)
    (folder / "logging.properties").write_text(LOGGING)
    voters = ",".join(f"{node}@127.0.0.1:{at['controller']}" for node, at in cluster["nodes"].items())
    password = secrets.token_hex(18)
    write_secret(folder / "password", password + "\n")
    identity = cluster_id()
    formatting = []
    for node, at in cluster["nodes"].items():
        settings = folder / f"node-{node}.properties"
        settings.write_text(SETTINGS.format(node=node, folder=folder, voters=voters, user=USER, **at))
        command = ["kafka.tools.StorageTool", "format", "--cluster-id", identity, "--config", settings]
        # The stranger may come in and then nothing: for what a host without rights is told.
        for user in (USER, STRANGER):
            command += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        formatting.append(subprocess.Popen(java(folder, *command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    for child in formatting:
        said, _ = child.communicate()
        if child.returncode != 0:
            sys.exit(f"a node's store could not be made: {said.decode()}")
    (folder / "cluster.json").write_text(json.dumps(cluster, indent=1) + "\n")


def cluster_id(random_bytes=os.urandom):
    """Sixteen bytes as Kafka writes them (URL-safe Base64). Skips ids that begin with a hyphen, one in 64: a command line would
    take them for an option."""
    while True:
        identity = base64.urlsafe_b64encode(random_bytes(16)).decode().rstrip("=")
        if not identity.startswith("-"):
            return identity


def given_ports(port):
    return [port + 10 * place for place in range(len(NODES))]


def free_ports():
    """Three times four ports in a row that nobody has, below those that the system gives to outgoing connections: a
    node that was down must find its own free when it comes back. The tests' other parts take theirs above these."""
    free = []
    while len(free) < len(NODES):
        first = random.randrange(10_000, 24_000, 4)
        if first not in free and all(is_free(first + more) for more in range(4)):
            free.append(first)
    return free


def is_free(port):
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port):
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def certificates(folder):
    """ca.pem, and keystore.pem with the nodes' key and their certificate by that authority."""
    ca, ca_key, key, request = (folder / name for name in ("ca.pem", "ca-key.pem", "key.pem", "request.pem"))
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new, "-days", "365", "-subj", "/CN=Everyframe trial CA", "-keyout", ca_key, "-out", ca)
    openssl("req", *new, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", request)
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signed = openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "365", "-extfile", names
    )
    write_secret(folder / "keystore.pem", key.read_text() + signed + ca.read_text())
    for made in (ca_key, key, request, names, folder / "ca.srl"):
        made.unlink(missing_ok=True)


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"openssl {words[0]}: {done.stderr}")
    return done.stdout


def write_secret(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def java(folder, *words):
    jars = cache() / "kafka"
    if not jars.is_dir() or shutil.which("java") is None:
        sys.exit("no Kafka here; `make setup-test` (or scripts/setup.sh system:kafka kafka) installs it")
    logging = f"-Dlog4j2.configurationFile={folder}/logging.properties"
    return ["java", *JVM, logging, "-cp", f"{jars}/*", *map(str, words)]


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("EVERYFRAME_CACHE") or Path(base) / "everyframe").absolute()


def node(folder, number, until_stdin_closes):
    """Becomes the node: whoever started this process holds the node itself, to signal and to wait for."""
    cluster = read(folder)
    if running(folder, number):
        sys.exit(f"node {number} of {folder} is running")
    command = java(folder, "kafka.Kafka", folder / f"node-{number}.properties")
    if until_stdin_closes:
        watch(folder, cluster["temporary"])
    (folder / f"node-{number}.pid").write_text(str(os.getpid()))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execvp(command[0], command)


def watch(folder, temporary):
    """A second process that ends this one when standard input closes, whichever way its writer went; and ends with it."""
    node = os.pidfd_open(os.getpid())
    if os.fork() != 0:
        os.close(node)
        return
    # Not what Ctrl-C on the terminal ends.
    os.setsid()
    os.set_blocking(0, False)
    while True:
        ready, _, _ = select.select([0, node], [], [])
        if node in ready:
            os._exit(0)
        if not os.read(0, 4096):
            break
    signal.pidfd_send_signal(node, signal.SIGKILL)
    select.select([node], [], [])
    # The other nodes may be writing for a moment yet.
    deadline = time.monotonic() + 10
    while temporary and folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)
    os._exit(0)


def read(folder):
    try:
        return json.loads((folder / "cluster.json").read_text())
    except OSError:
        sys.exit(f"{folder} holds no cluster")


def running(folder, number):
    """The node's process, or None."""
    try:
        process = int((folder / f"node-{number}.pid").read_text())
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    # The number may belong to another process by now.
    return process if os.fsencode(folder / f"node-{number}.properties") in words else None


def start(folder, port):
    if not (folder / "cluster.json").exists():
        prepare(folder, port, temporary=False)
    cluster = read(folder)
    for number in NODES:
        if not running(folder, number):
            with open(folder / f"node-{number}.log", "a") as log:
                subprocess.Popen(
                    [sys.executable, __file__, "node", folder, str(number)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
    deadline = time.monotonic() + START_SECONDS
    for number, at in cluster["nodes"].items():
        while not answers(at["plain"]):
            if time.monotonic() > deadline:
                sys.exit(f"node {number} does not answer; {folder}/node-{number}.log says why")
            time.sleep(0.1)
    print(f"""\
Kafka runs: three nodes, data and logs in {folder}.

In the configuration:

    [kafka]
    brokers = "{cluster["plain"]}"

or encrypted, as a user with a password:

    [kafka]
    brokers = "{cluster["sasl_ssl"]}"

    [kafka.properties]
    "security.protocol" = "SASL_SSL"
    "ssl.ca.location" = "{folder}/ca.pem"
    "sasl.mechanism" = "SCRAM-SHA-512"
    "sasl.username" = "{USER}"
    "sasl.password" = {{ file = "{folder}/password" }}

Encrypted without a user: "security.protocol" = "SSL" at {cluster["ssl"]}.
It runs until `make kafka-stop`, which keeps the data; one node ends by `kill $(cat {folder}/node-1.pid)`
and comes back by `make kafka`.""")


def stop(folder):
    read(folder)
    nodes = [process for number in NODES if (process := running(folder, number))]
    for process in nodes:
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + GOODBYE_SECONDS
    while any(running(folder, number) for number in NODES):
        if time.monotonic() > deadline:
            for number in NODES:
                if process := running(folder, number):
                    os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
    print(f"Kafka: {len(nodes)} nodes ended; the data stays in {folder}")


def status(folder):
    """Says which nodes run; 0 if all do."""
    cluster = read(folder)
    missing = 0
    for number, at in cluster["nodes"].items():
        process = running(folder, number)
        missing += process is None
        print(f"node {number}  127.0.0.1:{at['plain']}  {f'runs, process {process}' if process else 'does not run'}")
    return 1 if missing else 0


if __name__ == "__main__":
    main()
