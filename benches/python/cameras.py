"""Measures eight cameras under `everyframe cameras run`: memory and processor time of each process.

    cameras.py BINARY BROKERS

Each camera sends ten JPEG pictures a second, 1280 x 720, in one HTTP answer. The broker must run (`everyframe broker`).
"""

import http.server
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CACHE = Path(os.environ.get("EVERYFRAME_CACHE") or Path.home() / ".cache/everyframe")
CLIP = CACHE / "footage/WolfgangLanger_Pexels.mp4"
CAMERAS = 8
SECONDS = 30


def make_pictures(folder):
    """Three seconds of the footage as JPEG."""
    scale = ["-vf", "scale=1280:720,fps=30", "-q:v", "5", "-pix_fmt", "yuvj420p"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", CLIP, "-t", "3", *scale, folder / "%03d.jpg"], check=True)
    return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]


def serve(pictures):
    """Starts the cameras; returns their port."""

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            number = 0
            while True:
                picture = pictures[number % len(pictures)]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                number += 1
                time.sleep(0.1)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def memory_kb(process):
    """Its proportional set size: pages that several processes share are divided among them."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def cpu_ticks(process):
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def main():
    binary, brokers = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = serve(make_pictures(folder))
        tables = [f'[[cameras]]\nid = "camera-{n}"\nsource = "http://127.0.0.1:{port}/{n}"\n' for n in range(CAMERAS)]
        config = folder / "everyframe.toml"
        config.write_text(f'[kafka]\nbrokers = "{brokers}"\n\n' + "\n".join(tables))
        run = subprocess.Popen([binary, "cameras", "run", "--config", config, "--spool", folder / "spool"])
        time.sleep(12)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        processes = [run.pid, *map(int, children)]
        before = {process: cpu_ticks(process) for process in processes}
        time.sleep(SECONDS)
        # A hundred ticks a second: as many in a second are per cent of a core.
        cpu = [round((cpu_ticks(process) - before[process]) / SECONDS, 1) for process in processes]
        memory = [memory_kb(process) // 1024 for process in processes]
        run.terminate()
        run.wait()
    print(f"{len(processes)} processes: {sum(memory)} MB (PSS) {memory}, per cent of a core {cpu}")


if __name__ == "__main__":
    main()
