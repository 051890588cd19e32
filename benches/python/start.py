#!/usr/bin/env python3
"""How long a host takes from its start until it can judge frames, with many people in the gallery.

    start.py EVERYFRAME RULES MODELS [PEOPLE]    # the binary, the folders of the shipped rules and of the models; 100,000 people

It runs a broker of its own, starts a host, which creates the topics and writes caches, fills the gallery with made-up templates,
and starts the host again and again. Prints the seconds from the start until each line of the log.
"""

import base64
import json
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from statistics import median

from confluent_kafka import Producer

if len(sys.argv) < 4:
    sys.exit(__doc__)
EVERYFRAME, RULES, MODELS = (Path(argument).resolve() for argument in sys.argv[1:4])
PEOPLE = int(sys.argv[4]) if len(sys.argv) > 4 else 100_000
STARTS = 5
NUMBERS = 128  # of a template
EMBEDDER = "sface-2021dec.toml"
KINDS = (("matching-policy", "matching_policy"), ("unknown-person", "unknown_person"), ("alerting", "alerting"))
MILESTONES = ("gallery read", "strangers read", "rule state restored")
PATIENCE = 60  # seconds


def wait_for(what, found):
    deadline = time.monotonic() + PATIENCE
    while not found():
        if time.monotonic() > deadline:
            sys.exit(f"waited {PATIENCE} s for {what}")
        time.sleep(0.005)


def fill(brokers, model):
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50, "queue.buffering.max.messages": 200_000})
    numbers = random.Random(1)
    for number in range(PEOPLE):
        template = struct.pack(f"<{NUMBERS}f", *(numbers.gauss(0, 1) for _ in range(NUMBERS)))
        person = f"person-{number}"
        sample = {
            "person": person,
            "name": f"Person {number}",
            "model": model,
            "embedding": base64.b64encode(template).decode(),
            "quality": 0.9,
            "source": "made up",
            "enrolledAt": 0,
        }
        producer.produce("everyframe.gallery", key=f"{person}/1", value=json.dumps(sample))
        producer.poll(0)
    producer.flush()


def start(config, log):
    """Seconds until each milestone."""
    begun = time.time()
    with open(log, "wb") as out:
        host = subprocess.Popen([EVERYFRAME, "run", "--config", config], stdout=out, stderr=out)
    try:
        wait_for("the host", lambda: MILESTONES[-1] in log.read_text())
    finally:
        host.terminate()
        host.wait()
    seconds = {}
    for line in log.read_text().splitlines():
        stamp = re.match(r"(?:\x1b\[\d+m)*(\d{4}-\d\d-\d\dT[\d:]+\.\d+)Z", line)
        for milestone in MILESTONES:
            if stamp and milestone in line:
                whole, part = stamp[1].split(".")
                at = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float(f"0.{part}")
                seconds.setdefault(milestone, at - begun)
    return seconds


def main():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        brokers = f"127.0.0.1:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="everyframe-start-") as name:
        folder = Path(name)
        config, log = folder / "everyframe.toml", folder / "broker.log"
        lines = [f'[kafka]\nbrokers = "{brokers}"\n']
        for kind, file in KINDS:
            lines.append(f'[[rules]]\nname = "{kind}"\nkind = "{kind}"\ncomponent = "{RULES}/{file}.wasm"\n')
        config.write_text("\n".join(lines))
        with open(log, "wb") as out:
            words = ["broker", "--data", folder / "broker", "--listen", brokers]
            broker = subprocess.Popen([EVERYFRAME, *words], stdout=out, stderr=out)
        try:
            wait_for("the broker", lambda: "broker answers" in log.read_text())
            start(config, folder / "first.log")
            fill(brokers, tomllib.loads((MODELS / EMBEDDER).read_text())["variants"][0]["sha256"])
            starts = [start(config, folder / f"start-{number}.log") for number in range(STARTS)]
        finally:
            broker.terminate()
            broker.wait()
    for milestone in MILESTONES:
        times = [seconds[milestone] for seconds in starts if milestone in seconds]
        print(f"{milestone}: median {median(times):.2f} s, " + ", ".join(f"{seconds:.2f}" for seconds in times))


main()
