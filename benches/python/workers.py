#!/usr/bin/env python3
"""Prints what a second worker adds: workers.py FOLDER    # FOLDER/1.jsonl and 2.jsonl: lines of `everyframe bench --json`

The broker and whatever else the machine does take time from the host's cores, so frames a second by the clock say little on
two cores. Counted here is what a frame costs the host's process with one worker and with two: N workers that never wait for
each other process N times as many frames a second as one, divided by how much more each frame costs.
"""

import json
import sys
from pathlib import Path
from statistics import median


def main(folder):
    cpu, wall = {}, {}
    for workers in (1, 2):
        lines = (Path(folder) / f"{workers}.jsonl").read_text(encoding="utf-8").splitlines()
        runs = [json.loads(line) for line in lines]
        cpu[workers] = median(run["cpu_ms_per_frame"] for run in runs)
        wall[workers] = median(run["wall_ms_per_frame"] for run in runs)
        busy = median(run["cpu_ms_per_frame"] / run["wall_ms_per_frame"] for run in runs)
        print(
            f"  workers {workers}: {cpu[workers]:.2f} CPU ms/frame, {1000 / wall[workers]:.1f} frames/s, "
            f"{busy:.2f} cores used by the host"
        )
    print(f"  1 -> 2 workers by CPU time, broker counted out: {2 * cpu[1] / cpu[2]:.2f} x")
    print(f"  1 -> 2 workers by the clock, broker on the same cores: {wall[1] / wall[2]:.2f} x")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
