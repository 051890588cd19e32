"""Memory of a host over the length of its backlog, and the time to restore what rules remember.

backlog.py BROKERS EVERYFRAME RULES [FRAMES...]: for each length (1000 and 1000000 if none is given) it fills topics of its
own with small frames of 100 cameras, runs the host on them for 30 s, and prints its peak memory. Then it fills a
state topic with a million keys, and prints how long the host took to read it. `make kafka` gives a cluster to try it on.
"""

import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

brokers, everyframe, rules = sys.argv[1:4]
lengths = [int(length) for length in sys.argv[4:]] or [1_000, 1_000_000]
PARTITIONS, CAMERAS, KEYS = 4, 100, 1_000_000
KEPT = ("frames", "results", "alerts", "dead_letters", "gallery", "state")


def png(width, height):
    """A grey picture."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = png(64, 64)


def producer():
    return Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 200_000,
        }
    )


def send(to, topic, **record):
    while True:
        try:
            return to.produce(topic, **record)
        except BufferError:
            to.poll(0.1)


def site(folder, name):
    """A configuration with topics of its own, and the topics."""
    topics = {key: f"{name}.{key}" for key in KEPT}
    single = ("alerts", "dead_letters", "gallery")
    new = [NewTopic(topic, 1 if key in single else PARTITIONS, -1) for key, topic in topics.items()]
    admin = AdminClient({"bootstrap.servers": brokers})
    for created in admin.create_topics(new).values():
        created.result()
    lines = [f'[kafka]\nbrokers = "{brokers}"\ngroup = "{name}"\n\n[topics]']
    lines += [f'{key} = "{topic}"' for key, topic in topics.items()]
    for rule, kind in (("matching_policy", "matching-policy"), ("unknown_person", "unknown-person")):
        lines.append(f'\n[[rules]]\nname = "{kind}"\nkind = "{kind}"\ncomponent = "{rules}/{rule}.wasm"')
    file = folder / f"{name}.toml"
    file.write_text("\n".join(lines))
    return file, topics


def fill(topics, frames):
    to = producer()
    for number in range(frames):
        camera = number % CAMERAS
        send(to, topics["frames"], key=f"camera-{camera}", value=PICTURE, partition=camera % PARTITIONS)
        if number % 1000 == 0:
            to.poll(0)
    to.flush()


def run(folder, file, seconds, until=None):
    """The host's log and its peak memory in MiB."""
    log = folder / "host.log"
    with open(log, "wb") as output:
        host = subprocess.Popen([everyframe, "run", "--config", str(file)], stdout=output, stderr=output)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (until and until in log.read_text()):
        time.sleep(0.5)
    status = pathlib.Path(f"/proc/{host.pid}/status").read_text()
    host.terminate()
    host.wait()
    return log.read_text(), int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) >> 10


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="everyframe-backlog-"))
    mark = int(time.time())
    for length in lengths:
        file, topics = site(folder, f"backlog-{mark}-{length}")
        fill(topics, length)
        log, peak = run(folder, file, 30)
        ended = re.search(r"ended.*?taken_in=(\d+) processed=(\d+)", log) or re.search(
            r"taken_in=(\d+) processed=(\d+).*ended", log
        )
        print(f"backlog {length:>9} frames: {ended.group(2)} processed in 30 s, peak memory {peak} MiB", flush=True)

    file, topics = site(folder, f"state-{mark}")
    fill(topics, PARTITIONS * CAMERAS)
    to = producer()
    for number in range(KEYS):
        camera = number % CAMERAS
        send(
            to,
            topics["state"],
            key=f"unknown-person/camera-{camera}/key-{number}",
            value=b"x" * 50,
            headers={"everyframe-offset": "0"},
            partition=camera % PARTITIONS,
        )
        if number % 1000 == 0:
            to.poll(0)
    to.flush()
    # As if the group had processed the first frame of each partition.
    group = Consumer({"bootstrap.servers": brokers, "group.id": f"state-{mark}", "enable.auto.commit": False})
    group.commit(offsets=[TopicPartition(topics["frames"], n, 1) for n in range(PARTITIONS)], asynchronous=False)
    group.close()
    log, peak = run(folder, file, 120, until="rule state restored")
    read = re.search(r"changes=(\d+) milliseconds=(\d+)", log)
    print(f"state of {read.group(1)} keys: restored in {read.group(2)} ms, peak memory {peak} MiB")


main()
