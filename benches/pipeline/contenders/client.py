"""A careful client in Python: whole records, ids, a bounded window of repeats, key and headers as livestreamd has them, an idempotent
producer with lz4, and every delivery looked at. No journal: what is in its memory when it dies is lost.

client.py URL BROKERS TOPIC
"""

import json
import sys
from collections import OrderedDict

import requests
from confluent_kafka import Producer

REMEMBERED = 1_750_000

url, brokers, topic = sys.argv[1:]
producer = Producer({
    "bootstrap.servers": brokers,
    "client.id": "client.py",
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 0,
    "compression.type": "lz4",
    "linger.ms": 200,
    "partitioner": "murmur2_random",
})
undelivered = 0
seen = OrderedDict()


def report(error, _message):
    global undelivered
    if error is not None:
        undelivered += 1


def take(record):
    hit = json.loads(record)
    hit_id = (hit["hitIdHigh"], hit["hitIdLow"])
    if hit_id in seen:
        return
    seen[hit_id] = None
    if len(seen) > REMEMBERED:
        seen.popitem(last=False)
    headers = [
        ("livestream.stream", "s0"),
        ("livestream.report_suite", "s0"),
        ("livestream.hit_id", f"{hit_id[0]}_{hit_id[1]}"),
    ]
    key = f"{hit['visIdHigh']}_{hit['visIdLow']}"
    while True:
        try:
            producer.produce(topic, record, key, headers=headers, on_delivery=report)
            break
        except BufferError:
            producer.poll(0.001)
    producer.poll(0)


with requests.get(url, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=(10, 120)) as response:
    response.raise_for_status()
    rest = b""
    # One piece is what is there, whole records of it are taken, and the last one waits for its end.
    for piece in response.raw.stream(65536, decode_content=True):
        *records, rest = (rest + piece).split(b"\n")
        for record in records:
            record = record.removesuffix(b"\r")
            if record:
                take(record)
producer.flush()
if undelivered:
    sys.exit(f"{undelivered} hits were not delivered")
