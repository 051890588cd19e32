#!/usr/bin/env python3
"""What the dashboard costs the host, how old a frame is when a dashboard hears of it, and what recognising a picture takes.

    dashboards.py EVERYFRAME RULES FOOTAGE [PART...]    # the binary, the folder of the shipped rules, the folder of the clips

Parts, all of them by default; each prints a line:

- `cost`: the processor time that a frame of a backlog costs the host's process, dashboard included: alone, with ten dashboards, and
  with hostile clients. A dashboard follows the events and fetches the picture of each camera twice a second, as a browser does.
  Hostile clients send a byte a second, or ask for what does not exist as fast as they can. On two cores the clients take time from
  the host, so what is compared is its processor time: frames a second with them, divided by those without, on a machine with cores
  to spare. The three take turns, so that other work on the machine meets all of them.
- `live`: from capture to the event, and to the picture, at 64 live cameras with one dashboard, once the host has processed what waited
  at its start.
- `identify`: pictures recognised one after another, and in turns sent as frames, whose results say what the pipeline took.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

if len(sys.argv) < 4:
    sys.exit(__doc__)
EVERYFRAME, RULES, FOOTAGE = (Path(argument).resolve() for argument in sys.argv[1:4])
DASHBOARDS = 10
ROUNDS, CAMERAS, REPEATS = 3, 8, 4
CLIP, FRAMES = "single_face.mp4", 72  # its frames
SLOW_CLIENTS, FLOODING_CLIENTS = 100, 2
LIVE_CLIPS = ("WolfgangLanger_Pexels.mp4", "face_noface.mov", "noface_face.mov", "no_face.mp4")
LIVE_CAMERAS, LIVE_RATE, LIVE_SECONDS, LIVE_DASHBOARDS = 64, 0.5, 40, 1  # LIVE_RATE: frames a second of each camera
IDENTIFIED = 40  # pictures
PICTURE_INTERVAL = 0.5  # seconds between two pictures of a camera
PICTURES_AT_ONCE = 6  # as many connections to one server as a browser opens
PATIENCE = 120  # seconds


class Dashboard(threading.Thread):
    """One browser. It notes how old each frame is when it hears of it, and when it has the picture, milliseconds."""

    def __init__(self, base):
        super().__init__(daemon=True)
        self.base, self.heard, self.shown, self.is_open = base, [], [], True

    def run(self):
        last = {}
        events = urllib.request.urlopen(self.base + "/api/v1/events?kinds=frame,alert,sighting,ledger", timeout=60)
        with ThreadPoolExecutor(PICTURES_AT_ONCE) as pictures:
            for line in events:
                if not self.is_open:
                    return
                data = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                if "picture" not in data or "capturedAt" not in data:
                    continue
                self.heard.append(time.time() * 1000 - data["capturedAt"])
                if time.monotonic() - last.get(data["camera"], 0) >= PICTURE_INTERVAL:
                    last[data["camera"]] = time.monotonic()
                    pictures.submit(self.fetch, data)

    def fetch(self, data):
        urllib.request.urlopen(self.base + data["picture"] + "?width=640", timeout=30).read()
        self.shown.append(time.time() * 1000 - data["capturedAt"])


class SlowClient(threading.Thread):
    """Sends a request a byte at a time, and connects again when it is thrown out."""

    def __init__(self, base):
        super().__init__(daemon=True)
        host, port = base.removeprefix("http://").split(":")
        self.address, self.is_open = (host, int(port)), True

    def run(self):
        while self.is_open:
            try:
                with socket.create_connection(self.address, timeout=30) as connection:
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


@contextmanager
def connected(clients):
    """Clients at work. Their threads end with this program at the latest."""
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.is_open = False


@contextmanager
def running(folder, name, *words):
    """A process of Everyframe. It ends with the block, also when the block fails."""
    with open(folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen([EVERYFRAME, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, answer):
    """What `answer` gives, once it gives anything."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if found := answer():
                return found
        except (OSError, ValueError):
            pass  # not there yet
        time.sleep(0.1)
    sys.exit(f"waited {PATIENCE} s for {what}")


def get(address):
    return json.load(urllib.request.urlopen(address, timeout=60))


def post(address, picture):
    request = urllib.request.Request(address, data=picture, headers={"content-type": "image/jpeg"})
    return json.load(urllib.request.urlopen(request, timeout=60))


def ledger(base):
    return get(base + "/api/v1/ledger")


def cpu_seconds(process):
    """proc(5): fields 14 and 15, after a name in brackets."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Site:
    """A configuration with topics of its own."""

    TOPICS = ("frames", "results", "alerts", "dead_letters", "gallery", "state", "strangers", "acknowledgements")
    KINDS = (("matching-policy", "matching_policy"), ("unknown-person", "unknown_person"), ("alerting", "alerting"))

    def __init__(self, folder, name, brokers):
        self.folder, self.name = folder, name
        address = f"127.0.0.1:{free_port()}"
        self.base = f"http://{address}"
        lines = [f'[kafka]\nbrokers = "{brokers}"\ngroup = "{name}"\n\n[web]\nlisten = "{address}"\n\n[topics]']
        lines += [f'{topic} = "{name}.{topic}"' for topic in self.TOPICS]
        for kind, file in self.KINDS:
            lines.append(f'\n[[rules]]\nname = "{kind}"\nkind = "{kind}"\ncomponent = "{RULES}/{file}.wasm"')
        self.file = folder / f"{name}.toml"
        self.file.write_text("\n".join(lines))

    @contextmanager
    def host(self):
        """A host whose dashboard has read the history."""
        with running(self.folder, self.name, "run", "--config", self.file) as process:
            wait_for("the dashboard", lambda: ledger(self.base)["isComplete"])
            yield process

    def camera(self, camera, clip, *words):
        """The words that send a clip as a camera."""
        spool = ["--spool", self.folder / "spool"]
        return ["camera", "--config", self.file, *spool, "--id", camera, *words, FOOTAGE / clip]


def frame_cost(folder, name, brokers, make_clients):
    """Milliseconds of processor time that a frame of a backlog costs the host. `make_clients` makes those of an address."""
    site = Site(folder, name, brokers)
    for camera in range(CAMERAS):
        for _ in range(REPEATS):
            subprocess.run([EVERYFRAME, *site.camera(f"camera-{camera}", CLIP)], check=True, capture_output=True)
    total = CAMERAS * REPEATS * FRAMES
    with site.host() as host, connected(make_clients(site.base)):
        begun = wait_for("the first frame", lambda: ledger(site.base)["processed"])
        before = cpu_seconds(host)
        wait_for("the backlog", lambda: ledger(site.base)["processed"] >= total)
        return 1000 * (cpu_seconds(host) - before) / (total - begun)


def measure_cost(folder, brokers):
    kinds = {
        "nobody": lambda base: [],
        "dashboards": lambda base: [Dashboard(base) for _ in range(DASHBOARDS)],
        "hostile": lambda base: [SlowClient(base) for _ in range(SLOW_CLIENTS)]
        + [FloodingClient(base) for _ in range(FLOODING_CLIENTS)],
    }
    costs = {kind: [] for kind in kinds}
    for number in range(ROUNDS):
        for kind, make_clients in kinds.items():
            costs[kind].append(frame_cost(folder, f"round-{number}-{kind}", brokers, make_clients))
    alone, watched, attacked = (median(costs[kind]) for kind in kinds)
    print(f"CPU-ms a frame, medians of {ROUNDS} turns: {alone:.2f} alone")
    print(f"  {watched:.2f} with {DASHBOARDS} dashboards: x {alone / watched:.2f} frames")
    print(f"  {attacked:.2f} with {SLOW_CLIENTS} slow and {FLOODING_CLIENTS} flooding clients: x {alone / attacked:.2f} frames")
    print("  all turns:", {kind: [round(cost, 2) for cost in of_kind] for kind, of_kind in costs.items()}, flush=True)


def measure_live(folder, brokers):
    site = Site(folder, "live", brokers)
    with site.host(), ExitStack() as cameras:
        for number in range(LIVE_CAMERAS):
            name, clip = f"camera-{number}", LIVE_CLIPS[number % len(LIVE_CLIPS)]
            words = site.camera(name, clip, "--loop", "--rate", str(LIVE_RATE))
            cameras.enter_context(running(folder, name, *words))
        seen = lambda: sum(camera["frames"] > 0 for camera in get(site.base + "/api/v1/cameras")["cameras"])
        wait_for("all cameras", lambda: seen() == LIVE_CAMERAS)
        waiting = lambda: sum(partition["waiting"] for partition in get(site.base + "/api/v1/system")["partitions"])
        wait_for("the host to catch up", lambda: waiting() <= LIVE_CAMERAS // 4)
        with connected([Dashboard(site.base) for _ in range(LIVE_DASHBOARDS)]) as dashboards:
            time.sleep(LIVE_SECONDS)
    print(f"from capture, {LIVE_CAMERAS} cameras at {LIVE_RATE} frame/s, {LIVE_DASHBOARDS} dashboard:")
    for what, of_dashboard in (("event", lambda it: it.heard), ("picture", lambda it: it.shown)):
        delays = sorted(delay for dashboard in dashboards for delay in of_dashboard(dashboard))
        if not delays:
            sys.exit("no dashboard heard of any frame")
        p50, p99 = (delays[int(share * (len(delays) - 1))] for share in (0.5, 0.99))
        print(f"  to the {what}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(delays)} frames", flush=True)


def measure_identify(folder, brokers):
    site = Site(folder, "identify", brokers)
    picture = (FOOTAGE / "../stills/person_a_1.jpg").read_bytes()
    identified, processed = [], []
    with site.host():
        post(site.base + "/api/v1/identify", picture)  # loads the models
        for number in range(IDENTIFIED):
            before = time.monotonic()
            post(site.base + "/api/v1/identify", picture)
            identified.append(1000 * (time.monotonic() - before))
            # A camera of its own, so that nothing of another frame is used again.
            address = site.base + post(f"{site.base}/api/v1/frames/camera-{number}", picture)["result"]
            timings = wait_for("the result", lambda address=address: get(address).get("timings"))
            processed.append(sum(timings[step] for step in ("decodeMs", "detectMs", "embedMs", "rulesMs")))
    print(
        f"identify, p50 of {IDENTIFIED}: {median(identified):.1f} ms; the pipeline's processor time for the same picture: "
        f"{median(processed):.1f} ms: x {median(identified) / median(processed):.2f}",
        flush=True,
    )


PARTS = {"cost": measure_cost, "live": measure_live, "identify": measure_identify}


def main():
    parts = sys.argv[4:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"there is no part {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    # Ended from outside, it ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory(prefix="everyframe-dashboards-") as name:
        folder, brokers = Path(name), f"127.0.0.1:{free_port()}"
        with running(folder, "broker", "broker", "--data", folder / "broker", "--listen", brokers):
            wait_for("the broker", lambda: "broker answers" in (folder / "broker.log").read_text())
            for part in parts:
                PARTS[part](folder, brokers)


main()
