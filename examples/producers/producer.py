#!/usr/bin/env python3
"""Puts pictures into the frames topic with confluent-kafka, and loses none without saying so.

The producer is idempotent and waits for all replicas; each frame carries the headers by which `everyframe audit`
finds a gap: the session (a new one for each run), the sequence number (from 0, without holes) and the time of
capture. The exit status is 0 only if every frame was acknowledged.

    pip install confluent-kafka
    producer.py 127.0.0.1:9092 front-door pictures/
"""

import argparse
import sys
import time
import uuid
from pathlib import Path

from confluent_kafka import Producer

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def pictures(paths):
    """The files named on the command line, and those of the folders named there, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        else:
            yield path


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("broker", help="bootstrap brokers, host:port[,host:port]")
    parser.add_argument("camera", help="the camera's id: the key of each record")
    parser.add_argument("picture", nargs="+", type=Path, help="JPEG, PNG or WebP files, or folders of them")
    parser.add_argument("--topic", default="frames", help="the frames topic (default: frames)")
    parser.add_argument("--rate", type=float, help="frames a second (default: as fast as they go)")
    parser.add_argument(
        "--timeout", type=float, default=60, help="seconds until a frame counts as failed (default: 60)"
    )
    return parser.parse_args()


def main():
    given = arguments()
    files = list(pictures(given.picture))
    if not files:
        sys.exit("no pictures there")

    producer = Producer(
        {
            "bootstrap.servers": given.broker,
            "enable.idempotence": True,
            "acks": "all",
            "message.max.bytes": 10_000_000,
            "delivery.timeout.ms": int(given.timeout * 1000),
            "reconnect.backoff.ms": 1000,
        }
    )
    acknowledged, failures = 0, []

    def delivered(error, _record):
        nonlocal acknowledged
        if error is None:
            acknowledged += 1
        else:
            failures.append(str(error))

    session = str(uuid.uuid4())
    began = time.monotonic()
    for sequence, file in enumerate(files):
        if given.rate:
            time.sleep(max(0, began + sequence / given.rate - time.monotonic()))
        try:
            frame = file.read_bytes()
        except OSError as error:
            sys.exit(f"{file}: {error.strerror}")
        headers = {
            "everyframe-session": session,
            "everyframe-sequence": str(sequence),
            "everyframe-captured-at": str(time.time_ns() // 1_000_000),
        }
        while True:
            try:
                producer.produce(
                    given.topic, key=given.camera, value=frame, headers=headers, on_delivery=delivered
                )
                break
            except BufferError:  # librdkafka's queue is full: let it send some
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()  # returns when each frame is acknowledged, or has failed by its timeout

    print(f"{given.camera}: read {len(files)}, acknowledged {acknowledged}, session {session}")
    for reason in sorted(set(failures)):
        print(f"{failures.count(reason)} failed: {reason}", file=sys.stderr)
    return 0 if acknowledged == len(files) else 1


if __name__ == "__main__":
    sys.exit(main())
