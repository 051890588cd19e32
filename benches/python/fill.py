"""Fills the topics as a site would: frames of many cameras, and the result of each.

fill.py BROKERS [FRAMES] [CAMERAS]: for measuring `everyframe audit`; the topics must be there and empty.
"""

import sys
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

brokers = sys.argv[1]
frames = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
cameras = int(sys.argv[3]) if len(sys.argv) > 3 else 100
partitions = 4
value = b"x" * 1000

admin = AdminClient({"bootstrap.servers": brokers})
topics = ["frames", "everyframe.results", "everyframe.dead-letters"]
for created in admin.create_topics([NewTopic(name, partitions, -1) for name in topics]).values():
    created.result()

producer = Producer(
    {
        "bootstrap.servers": brokers,
        "acks": "all",
        "linger.ms": 50,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 200_000,
    }
)


def send(topic, **record):
    while True:
        try:
            return producer.produce(topic, **record)
        except BufferError:
            producer.poll(0.1)


at = int(time.time() * 1000)
offsets = [0] * partitions
for number in range(frames):
    camera = number % cameras
    partition = camera % partitions
    headers = {
        "everyframe-session": f"session-{camera}",
        "everyframe-sequence": str(number // cameras),
        "everyframe-captured-at": str(at + number),
    }
    key = f"camera-{camera}"
    send("frames", key=key, value=value, headers=headers, partition=partition)
    result = f'{{"id":"frames/{partition}/{offsets[partition]}","subject":"{key}","data":{{"faces":[]}}}}'
    send("everyframe.results", key=key, value=result)
    offsets[partition] += 1
    if number % 1000 == 0:
        producer.poll(0)
producer.flush()
print(f"{frames} frames of {cameras} cameras, and as many results")
