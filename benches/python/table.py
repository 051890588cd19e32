#!/usr/bin/env python3
"""Prints the table of one set of frames: table.py FOLDER    # FOLDER/PIPELINE.jsonl, a line of JSON for each round"""

import json
import sys
from pathlib import Path
from statistics import median

OURS = ("everyframe", "everyframe-full")


def main(folder):
    runs = {
        file.stem: [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for file in Path(folder).glob("*.jsonl")
    }
    cpu = {name: median(run["cpu_ms_per_frame"] for run in rounds) for name, rounds in runs.items()}
    columns = "".join(f"{'x ' + name:>18}" for name in OURS)
    print(f"{'pipeline':17}{'frames':>8}{'faces':>8}{'CPU ms/frame':>14}{'min':>8}{'max':>8}{'wall':>8}{columns}")
    for name, rounds in sorted(runs.items(), key=lambda item: cpu[item[0]]):
        times = [run["cpu_ms_per_frame"] for run in rounds]
        wall = median(run["wall_ms_per_frame"] for run in rounds)
        ratios = "".join(f"{cpu[name] / cpu[our]:>18.2f}" if our in cpu else f"{'-':>18}" for our in OURS)
        first = rounds[0]
        print(
            f"{name:17}{first['frames']:8}{first['faces']:8}{cpu[name]:14.2f}"
            f"{min(times):8.2f}{max(times):8.2f}{wall:8.2f}{ratios}"
        )
    for name in OURS:
        rounds = runs.get(name, [])
        if any("neither_decoding_nor_inference" in run for run in rounds):
            rest = median(run["neither_decoding_nor_inference"] for run in rounds)
            print(f"  {name}: neither decoding nor inference {100 * rest:.1f} %")
    counts = {(run["frames"], run["faces"]) for name, rounds in runs.items() if name != "everyframe" for run in rounds}
    if len(counts) > 1:
        print("  The pipelines that search every frame in full did not find the same number of faces.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
