#!/usr/bin/env python3
"""What open dashboards and hostile clients cost the host, how old a frame is when a dashboard hears of it, and what
recognising an uploaded picture takes.

    dashboards.py EVERYFRAME RULES FOOTAGE [COUNT]    # the binary, the folder of the shipped rules, the folder of the clips

Each dashboard (10 if COUNT is not given) follows the events and fetches the picture of each camera twice a second, as a
browser does. On two cores the clients take time from the host, so what is compared is the processor time that a frame costs
the host's process, dashboard included: frames a second with COUNT dashboards, divided by those without any, on a machine with
cores to spare. The same with hostile clients: connections that send a byte a second, and clients that ask for what does not
exist as fast as they can. Then 64 live cameras show how long it takes from capture to the event. At last, pictures are
recognised one after another, and sent as frames, whose results say what the pipeline took for each.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from statistics import median

everyframe, rules, footage = (str(Path(argument).resolve()) for argument in sys.argv[1:4])
COUNT = int(sys.argv[4]) if len(sys.argv) > 4 else 10
ROUNDS, CAMERAS, REPEATS = 3, 8, 4
CLIP, FRAMES = "single_face.mp4", 72  # its frames
LIVE = ("WolfgangLanger_Pexels.mp4", "face_noface.mov", "noface_face.mov", "no_face.mp4")
LIVE_CAMERAS, LIVE_RATE, LIVE_SECONDS = 64, 1, 40  # frames a second of each camera
SLOW_CLIENTS, FLOODING_CLIENTS = 100, 2
IDENTIFIED = 40  # pictures
INTERVAL = 0.5  # seconds between two pictures of a camera


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def configure(folder, name, brokers):
    """The file of a configuration with topics of its own, and the address of its dashboard."""
    web = f"127.0.0.1:{free_port()}"
    topics = ("frames", "results", "alerts", "dead_letters", "gallery", "state", "strangers", "acknowledgements")
    lines = [f'[kafka]\nbrokers = "{brokers}"\ngroup = "{name}"\n\n[web]\nlisten = "{web}"\n\n[topics]']
    lines += [f'{topic} = "{name}.{topic}"' for topic in topics]
    for kind, file in (
        ("matching-policy", "matching_policy"),
        ("unknown-person", "unknown_person"),
        ("alerting", "alerting"),
    ):
        lines.append(f'\n[[rules]]\nname = "{kind}"\nkind = "{kind}"\ncomponent = "{rules}/{file}.wasm"')
    file = folder / f"{name}.toml"
    file.write_text("\n".join(lines))
    return str(file), f"http://{web}"


class Dashboard(threading.Thread):
    """One browser."""

    def __init__(self, base, delays):
        super().__init__(daemon=True)
        self.base, self.delays, self.is_open = base, delays, True

    def run(self):
        last = {}
        events = urllib.request.urlopen(self.base + "/api/v1/events?kinds=frame,alert,sighting,ledger", timeout=60)
        for line in events:
            if not self.is_open:
                return
            data = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if "capturedAt" not in data:
                continue
            self.delays.append(time.time() * 1000 - data["capturedAt"])
            if time.monotonic() - last.get(data["camera"], 0) >= INTERVAL:
                last[data["camera"]] = time.monotonic()
                urllib.request.urlopen(self.base + data["picture"] + "?width=640", timeout=30).read()


class SlowClient(threading.Thread):
    """Sends a request a byte at a time, and connects again when it is thrown out."""

    def __init__(self, base):
        super().__init__(daemon=True)
        self.place, self.is_open = base.removeprefix("http://").split(":"), True

    def run(self):
        while self.is_open:
            try:
                with socket.create_connection((self.place[0], int(self.place[1])), timeout=30) as connection:
                    for byte in b"GET /api/v1/cameras HTTP/1.1\r\nHost: " + b"a" * 1000:
                        if not self.is_open:
                            return
                        connection.send(bytes([byte]))
                        time.sleep(1)
            except OSError:
                time.sleep(1)


class FloodingClient(threading.Thread):
    """Asks for what does not exist, as fast as it can."""

    def __init__(self, base):
        super().__init__(daemon=True)
        self.base, self.is_open = base, True

    def run(self):
        while self.is_open:
            try:
                urllib.request.urlopen(self.base + "/api/v1/people/nobody", timeout=30).read()
            except OSError:
                pass


def wait_for(what, answer):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            found = answer()
        except (OSError, ValueError):
            found = None
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"waited 120 s for {what}")


def ledger(base):
    return json.load(urllib.request.urlopen(base + "/api/v1/ledger", timeout=10))


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(words, folder, name):
    log = open(folder / f"{name}.log", "wb")
    return subprocess.Popen([everyframe, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def end(process):
    process.terminate()
    process.wait()


def backlog_cost(folder, name, brokers, clients):
    """Milliseconds of processor time that a frame of a backlog costs the host. `clients` makes those of an address."""
    file, base = configure(folder, name, brokers)
    for camera in range(CAMERAS):
        words = [everyframe, "camera", "--config", file, "--spool", str(folder / "spool"), "--id", f"camera-{camera}"]
        for _ in range(REPEATS):
            subprocess.run([*words, f"{footage}/{CLIP}"], check=True, capture_output=True)
    host = start(["run", "--config", file], folder, name)
    wait_for("the dashboard", lambda: ledger(base)["isComplete"])
    others = clients(base)
    [client.start() for client in others]
    begun = wait_for("the first frame", lambda: ledger(base)["processed"])
    before = cpu_seconds(host)
    total = CAMERAS * REPEATS * FRAMES
    wait_for("the backlog", lambda: ledger(base)["processed"] >= total)
    cost = 1000 * (cpu_seconds(host) - before) / (total - begun)
    for client in others:
        client.is_open = False
    end(host)
    return cost


def live_delays(folder, brokers):
    """Milliseconds from the capture of each frame that one of COUNT dashboards hears of."""
    file, base = configure(folder, "live", brokers)
    host = start(["run", "--config", file], folder, "live")
    wait_for("the dashboard", lambda: ledger(base)["isComplete"])
    words = ["camera", "--config", file, "--spool", str(folder / "spool"), "--loop", "--rate", str(LIVE_RATE)]
    names = [(f"camera-{number}", LIVE[number % len(LIVE)]) for number in range(LIVE_CAMERAS)]
    cameras = [start([*words, "--id", name, f"{footage}/{clip}"], folder, name) for name, clip in names]
    wait_for("the first frame", lambda: ledger(base)["processed"])
    delays = []
    browsers = [Dashboard(base, delays) for _ in range(COUNT)]
    [browser.start() for browser in browsers]
    time.sleep(LIVE_SECONDS)
    for browser in browsers:
        browser.is_open = False
    [end(process) for process in (*cameras, host)]
    return sorted(delays)


def request(address, picture):
    sent = urllib.request.Request(address, data=picture, headers={"content-type": "image/jpeg"})
    return json.load(urllib.request.urlopen(sent, timeout=60))


def identify_times(folder, brokers, picture):
    """Milliseconds of each recognition of an uploaded picture, and of the pipeline's work on the same picture as a frame."""
    file, base = configure(folder, "identify", brokers)
    host = start(["run", "--config", file], folder, "identify")
    wait_for("the dashboard", lambda: ledger(base)["isComplete"])
    request(base + "/api/v1/identify", picture)  # loads the models
    identified, processed = [], []
    for number in range(IDENTIFIED):
        before = time.monotonic()
        request(base + "/api/v1/identify", picture)
        identified.append(1000 * (time.monotonic() - before))
        # A camera of its own, so that nothing of another frame is used again.
        address = request(f"{base}/api/v1/frames/camera-{number}", picture)["result"]
        result = wait_for("the result", lambda address=address: json.load(urllib.request.urlopen(base + address)))
        while "timings" not in result:
            result = json.load(urllib.request.urlopen(base + address))
        processed.append(sum(result["timings"][step] for step in ("decodeMs", "detectMs", "embedMs", "rulesMs")))
    end(host)
    return median(identified), median(processed)


def main():
    folder = Path(tempfile.mkdtemp(prefix="everyframe-dashboards-"))
    brokers = f"127.0.0.1:{free_port()}"
    broker = start(["broker", "--data", str(folder / "broker"), "--listen", brokers], folder, "broker")
    try:
        wait_for("the broker", lambda: "broker answers" in (folder / "broker.log").read_text())
        hostile = lambda base: [SlowClient(base) for _ in range(SLOW_CLIENTS)] + [
            FloodingClient(base) for _ in range(FLOODING_CLIENTS)
        ]
        kinds = {
            "nobody": lambda base: [],
            "dashboards": lambda base: [Dashboard(base, []) for _ in range(COUNT)],
            "hostile": hostile,
        }
        costs = {kind: [] for kind in kinds}
        for number in range(ROUNDS):
            for kind, clients in kinds.items():
                costs[kind].append(backlog_cost(folder, f"round-{number}-{kind}", brokers, clients))
        alone, watched, attacked = (median(costs[kind]) for kind in kinds)
        print(f"CPU-ms a frame: {alone:.2f} alone, {watched:.2f} with {COUNT} dashboards: x {alone / watched:.2f} frames")
        print(
            f"CPU-ms a frame: {attacked:.2f} with {SLOW_CLIENTS} slow and {FLOODING_CLIENTS} flooding clients: "
            f"x {alone / attacked:.2f} frames"
        )
        delays = live_delays(folder, brokers)
        quantile = lambda share: delays[int(share * (len(delays) - 1))]
        print(
            f"from capture to the event, {LIVE_CAMERAS} cameras at {LIVE_RATE} frame/s, {COUNT} dashboards: "
            f"p50 {quantile(0.5):.0f} ms, p99 {quantile(0.99):.0f} ms, {len(delays)} events"
        )
        identified, processed = identify_times(folder, brokers, Path(footage, "../stills/person_a_1.jpg").read_bytes())
        print(
            f"identify, p50 of {IDENTIFIED}: {identified:.1f} ms; the pipeline's work on the same picture: {processed:.1f} ms: "
            f"x {identified / processed:.2f}"
        )
    finally:
        end(broker)


main()
