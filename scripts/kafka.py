#!/usr/bin/env python3
"""Runs an Apache Kafka cluster of three nodes on this machine, for tests.

    kafka.py prepare FOLDER [--port PORT]
    kafka.py start FOLDER [--port PORT]
    kafka.py stop FOLDER
    kafka.py status FOLDER

`prepare` creates a new cluster in FOLDER: ports, certificates, a user, and settings for each node. A node is
`everyframe broker --data FOLDER/node-N --settings FOLDER/node-N.properties`; its process id is in
FOLDER/node-N/node.pid. `start` prepares a new folder, starts all nodes in the background and prints how to connect.
`stop` ends the nodes and keeps the data.

Each node is both broker and controller (KRaft). It listens on 127.0.0.1 only, on four ports: PORT plain, PORT + 1 for
controllers, PORT + 2 SASL_SSL with SCRAM-SHA-512, PORT + 3 SSL. The next node's ports are 10 higher. Without --port the
script finds free ports. FOLDER/cluster.json lists all of this.
"""

import argparse
import base64
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

NODES = (1, 2, 3)
USER, STRANGER = "everyframe", "stranger"
# Time for a node to end in good order. The last of three nodes has no majority left, so it cannot finish by itself.
GOODBYE_SECONDS = 15
START_SECONDS = 60

# The settings in which a cluster node differs from a single node.
SETTINGS = """\
everyframe.cluster.id={identity}
everyframe.users={user}={password},{stranger}={password}
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{sasl_ssl},SSL://127.0.0.1:{ssl}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{sasl_ssl},SSL://127.0.0.1:{ssl}
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/keystore.pem
# A client without a certificate or password is ANONYMOUS; so are the nodes themselves.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
# Short, so that tests do not wait long for a fault to be noticed.
broker.session.timeout.ms=4000
# No flushing: after a power cut the other nodes still have the records.
log.flush.interval.ms=9223372036854775807
log.flush.scheduler.interval.ms=9223372036854775807
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("prepare", "start", "stop", "status"):
        words = commands.add_parser(command)
        words.add_argument("folder", type=Path)
        if command in ("prepare", "start"):
            words.add_argument("--port", type=int, help="the first node's first port")
    given = parser.parse_args()
    folder = given.folder.absolute()
    if given.command == "prepare":
        prepare(folder, given.port)
    elif given.command == "start":
        start(folder, given.port)
    elif given.command == "stop":
        stop(folder)
    else:
        sys.exit(status(folder))


def prepare(folder, port):
    """Creates the files of a new cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "cluster.json").exists():
        sys.exit(f"{folder} holds a cluster already. Start it, or remove the folder")
    ports = {node: first for node, first in zip(NODES, given_ports(port) if port else free_ports())}
    cluster = {
        "nodes": {str(node): {"plain": p, "controller": p + 1, "sasl_ssl": p + 2, "ssl": p + 3} for node, p in ports.items()},
        "user": USER,
        "stranger": STRANGER,
    }
    for listener in ("plain", "sasl_ssl", "ssl"):
        cluster[listener] = ",".join(f"127.0.0.1:{at[listener]}" for at in cluster["nodes"].values())
    certificates(folder)
    voters = ",".join(f"{node}@127.0.0.1:{at['controller']}" for node, at in cluster["nodes"].items())
    password = secrets.token_hex(18)
    write_secret(folder / "password", password + "\n")
    identity = cluster_id()
    for node, at in cluster["nodes"].items():
        # The user "stranger" can log in but has no rights; a test checks what a host without rights reports.
        settings = SETTINGS.format(
            node=node,
            folder=folder,
            voters=voters,
            identity=identity,
            user=USER,
            stranger=STRANGER,
            password=password,
            **at,
        )
        write_secret(folder / f"node-{node}.properties", settings)
    (folder / "cluster.json").write_text(json.dumps(cluster, indent=1) + "\n")


def cluster_id(random_bytes=os.urandom):
    """A random cluster id: sixteen bytes in URL-safe Base64, as Kafka writes it. Skips ids that begin with a hyphen (one in
    64), because a command line would take them for an option."""
    while True:
        identity = base64.urlsafe_b64encode(random_bytes(16)).decode().rstrip("=")
        if not identity.startswith("-"):
            return identity


def given_ports(port):
    return [port + 10 * place for place in range(len(NODES))]


def free_ports():
    """Three groups of four consecutive free ports, below the ports of outgoing connections, so that the ports of a stopped
    node are still free when it restarts. Other tests use ports above these."""
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
    """Creates ca.pem, and keystore.pem with the nodes' key and their certificate, signed by that authority."""
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


def everyframe():
    """The path of the program: in the folder EVERYFRAME_BIN, or in the target folder of `make build`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "everyframe"
    target = os.environ.get("CARGO_TARGET_DIR") or Path(os.environ.get("EVERYFRAME_CACHE") or cache) / "target"
    folder = Path(os.environ.get("EVERYFRAME_BIN") or Path(target) / "release")
    program = shutil.which(folder / "everyframe") or shutil.which("everyframe")
    return program or sys.exit(f"no everyframe in {folder}. Build it by `make build-host`")


def read(folder):
    try:
        return json.loads((folder / "cluster.json").read_text())
    except OSError:
        sys.exit(f"{folder} holds no cluster")


def running(folder, number):
    """The process id of the node, or None if it does not run."""
    try:
        process = int((folder / f"node-{number}/node.pid").read_text())
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    # The id may belong to another process by now.
    return process if os.fsencode(folder / f"node-{number}/server.properties") in words else None


def start(folder, port):
    if not (folder / "cluster.json").exists():
        prepare(folder, port)
    cluster = read(folder)
    for number in NODES:
        if not running(folder, number):
            with open(folder / f"node-{number}.log", "a") as log:
                subprocess.Popen(
                    [
                        everyframe(),
                        "broker",
                        "--data",
                        folder / f"node-{number}",
                        "--settings",
                        folder / f"node-{number}.properties",
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
    deadline = time.monotonic() + START_SECONDS
    for number, at in cluster["nodes"].items():
        while not answers(at["plain"]):
            if time.monotonic() > deadline:
                sys.exit(f"node {number} does not answer. See {folder}/node-{number}.log")
            time.sleep(0.1)
    print(f"""\
Kafka runs: three nodes, data and logs in {folder}.

Settings for the configuration file:

    [kafka]
    brokers = "{cluster["plain"]}"

Or encrypted, with a user and a password:

    [kafka]
    brokers = "{cluster["sasl_ssl"]}"

    [kafka.properties]
    "security.protocol" = "SASL_SSL"
    "ssl.ca.location" = "{folder}/ca.pem"
    "sasl.mechanism" = "SCRAM-SHA-512"
    "sasl.username" = "{USER}"
    "sasl.password" = {{ file = "{folder}/password" }}

Encrypted without a user: "security.protocol" = "SSL" at {cluster["ssl"]}.
Stop the cluster by `make kafka-stop`; its data stays. Stop one node by `kill $(cat {folder}/node-1/node.pid)`
and restart it by `make kafka`.""")


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
    """Prints which nodes run. Returns 0 if all do."""
    cluster = read(folder)
    missing = 0
    for number, at in cluster["nodes"].items():
        process = running(folder, number)
        missing += process is None
        print(f"node {number}  127.0.0.1:{at['plain']}  {f'runs, process {process}' if process else 'does not run'}")
    return 1 if missing else 0


if __name__ == "__main__":
    main()
