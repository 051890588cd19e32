"""What both Python pipelines share: the frames, the clock, and the line of JSON at the end."""

import json
import sys
import time
from pathlib import Path

import cv2

# As in everyframe's own defaults, so that all find the same faces.
SCORE = 0.6
OVERLAP = 0.3


def run(name, usage, pipeline):
    """Runs `pipeline(models)`, a function of a picture (BGR, uint8) that answers with its embeddings, over every
    frame of the folder on the command line, on one thread; prints what a frame cost, reading included."""
    if len(sys.argv) != 3:
        sys.exit(usage.strip())
    folder, models = map(Path, sys.argv[1:])
    paths = sorted(folder.glob("*/*.jpg"))
    if not paths:
        sys.exit(f"no frames at {folder}/CLIP/*.jpg; benches/python/frames.py writes them")
    cv2.setNumThreads(1)
    embed = pipeline(models)
    embed(cv2.imread(str(paths[0])))  # the first frame pays for set-up that later ones don't need

    faces = 0
    cpu, wall = time.process_time(), time.perf_counter()
    for path in paths:
        faces += len(embed(cv2.imread(str(path))))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    result = {
        "name": name,
        "frames": len(paths),
        "faces": faces,
        "cpu_ms_per_frame": round(cpu * 1000 / len(paths), 3),
        "wall_ms_per_frame": round(wall * 1000 / len(paths), 3),
    }
    print(json.dumps(result))
