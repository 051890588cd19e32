"""Measures what it costs an agent to read a camera: processor time for each frame, memory.

    capture.py [--brokers HOST:PORT] [--seconds N] BINARY...

Each binary reads the same clips, at the rate of a camera: H.264 of 1280 x 720 and 1920 x 1080 at 30 frames a second, made by ffmpeg from
the footage, and motion JPEG of 1280 x 720. With several binaries, they take turns. The broker must run (`everyframe broker`).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("EVERYFRAME_CACHE") or Path.home() / ".cache/everyframe")
CLIP = CACHE / "footage/WolfgangLanger_Pexels.mp4"


def make_clips(folder, seconds):
    """Clips by name. Their content is the footage, played again and again, as a camera would encode it."""
    clips = {}
    for name, size, coding in [
        ("h264-720p30", "1280:720", ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "60", "-b:v", "3M"]),
        ("h264-1080p30", "1920:1080", ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "60", "-b:v", "6M"]),
        ("mjpeg-720p30", "1280:720", ["-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p"]),
    ]:
        path = folder / f"{name}.mkv"
        command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", CLIP, "-t", str(seconds), "-vf"]
        command += [f"scale={size},fps=30", "-an", *coding, path]
        subprocess.run(command, check=True)
        clips[name] = path
    return clips


def measure(binary, clip, brokers, folder):
    """Milliseconds of processor time a frame, and the peak of resident memory in MB."""
    command = [binary, "camera", "--id", "bench", "--rate", "30", "--brokers", brokers, "--spool", folder / "spool", clip]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    frames = int(re.search(r"(\d+) frames read", out)[1])
    if status != 0:
        sys.exit(f"{binary} failed: {out}{child.stderr.read()}")
    return 1000 * (usage.ru_utime + usage.ru_stime) / frames, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("binaries", nargs="+")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, clip in make_clips(folder, arguments.seconds).items():
            for binary in map(os.path.abspath, arguments.binaries):
                cpu, memory = measure(binary, clip, arguments.brokers, folder)
                print(f"{name:14} {cpu:6.2f} ms a frame {memory:5.0f} MB  {binary}", flush=True)


if __name__ == "__main__":
    main()
