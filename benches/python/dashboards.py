#!/usr/bin/env python3
"""What open dashboards cost the host, and how old a frame is when a dashboard hears of it.

    dashboards.py EVERYFRAME RULES FOOTAGE [COUNT]    # the binary, the folder of the shipped rules, the folder of the clips

Each dashboard (10 if COUNT is not given) follows the events and fetches the picture of each camera twice a second, as a
browser does. On two cores the clients take time from the host, so what is compared is the processor time that a frame costs
the host's process, dashboard included: frames a second with COUNT dashboards, divided by those without any, on a machine with
cores to spare. Then four live cameras show how long it takes from capture to the event.
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
LIVE_SECONDS = 30
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


def backlog_cost(folder, name, brokers, dashboards):
    """Milliseconds of processor time that a frame of a backlog costs the host."""
    file, base = configure(folder, name, brokers)
    for camera in range(CAMERAS):
        words = [everyframe, "camera", "--config", file, "--spool", str(folder / "spool"), "--id", f"camera-{camera}"]
        for _ in range(REPEATS):
            subprocess.run([*words, f"{footage}/{CLIP}"], check=True, capture_output=True)
    host = start(["run", "--config", file], folder, name)
    wait_for("the dashboard", lambda: ledger(base)["isComplete"])
    browsers = [Dashboard(base, []) for _ in range(dashboards)]
    [browser.start() for browser in browsers]
    begun = wait_for("the first frame", lambda: ledger(base)["processed"])
    before = cpu_seconds(host)
    total = CAMERAS * REPEATS * FRAMES
    wait_for("the backlog", lambda: ledger(base)["processed"] >= total)
    cost = 1000 * (cpu_seconds(host) - before) / (total - begun)
    for browser in browsers:
        browser.is_open = False
    end(host)
    return cost


def live_delays(folder, brokers):
    """Milliseconds from the capture of each frame that one of COUNT dashboards hears of."""
    file, base = configure(folder, "live", brokers)
    host = start(["run", "--config", file], folder, "live")
    wait_for("the dashboard", lambda: ledger(base)["isComplete"])
    words = ["camera", "--config", file, "--spool", str(folder / "spool"), "--loop", "--rate", "10"]
    cameras = [start([*words, "--id", clip, f"{footage}/{clip}"], folder, clip) for clip in LIVE]
    wait_for("the first frame", lambda: ledger(base)["processed"])
    delays = []
    browsers = [Dashboard(base, delays) for _ in range(COUNT)]
    [browser.start() for browser in browsers]
    time.sleep(LIVE_SECONDS)
    for browser in browsers:
        browser.is_open = False
    [end(process) for process in (*cameras, host)]
    return sorted(delays)


def main():
    folder = Path(tempfile.mkdtemp(prefix="everyframe-dashboards-"))
    brokers = f"127.0.0.1:{free_port()}"
    broker = start(["broker", "--data", str(folder / "broker"), "--listen", brokers], folder, "broker")
    try:
        wait_for("the broker", lambda: "broker answers" in (folder / "broker.log").read_text())
        costs = {0: [], COUNT: []}
        for number in range(ROUNDS):
            for dashboards in costs:
                costs[dashboards].append(backlog_cost(folder, f"round-{number}-{dashboards}", brokers, dashboards))
        alone, watched = median(costs[0]), median(costs[COUNT])
        print(f"CPU-ms a frame: {alone:.2f} without dashboards, {watched:.2f} with {COUNT}: x {alone / watched:.2f} frames")
        delays = live_delays(folder, brokers)
        quantile = lambda share: delays[int(share * (len(delays) - 1))]
        print(
            f"from capture to the event, {len(LIVE)} cameras at 10 frames/s, {COUNT} dashboards: "
            f"p50 {quantile(0.5):.0f} ms, p99 {quantile(0.99):.0f} ms, {len(delays)} events"
        )
    finally:
        end(broker)


main()
