#!/usr/bin/env python3
"""The bench's table, from its lines of JSON: table.py RESULTS"""

import json
import sys
from pathlib import Path
from statistics import median


def main(results):
    runs = {}
    for line in Path(results).read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        runs.setdefault(run["name"], []).append(run)
    cpu = {name: median(run["cpu_ms_per_frame"] for run in all_runs) for name, all_runs in runs.items()}
    ours = cpu.get("everyframe")
    print(f"{'pipeline':14}{'frames':>8}{'faces':>8}{'CPU ms/frame':>14}{'min':>8}{'max':>8}{'wall':>8}{'everyframe is':>15}")
    for name, all_runs in sorted(runs.items(), key=lambda item: cpu[item[0]]):
        times = [run["cpu_ms_per_frame"] for run in all_runs]
        wall = median(run["wall_ms_per_frame"] for run in all_runs)
        ratio = f"{ours / cpu[name]:.2f} x" if ours else "-"
        first = all_runs[0]
        print(
            f"{name:14}{first['frames']:8}{first['faces']:8}{cpu[name]:14.2f}"
            f"{min(times):8.2f}{max(times):8.2f}{wall:8.2f}{ratio:>15}"
        )
    counts = {(run["frames"], run["faces"]) for all_runs in runs.values() for run in all_runs}
    if len(counts) > 1:
        print("The pipelines did not find the same faces in the same frames.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
