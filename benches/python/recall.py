#!/usr/bin/env python3
"""Compares the faces found by the default search with those of the full search of every frame.

    recall.py FULL DEFAULT    # files of `everyframe bench --results FILE`, of the same frames

Two boxes show the same face if their intersection over union is at least 0.4; each box is matched once, the best overlap
first. A face's size is the longer side of its box in the full search.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

SAME_FACE = 0.4
MIN_FACE = 24  # pixels: the default of vision.detector.min_face
MIN_TRACK = 5  # frames


def read_frames(file):
    """(camera, sequence) -> the result's data."""
    frames = {}
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        data = json.loads(line)["data"]
        frames[data["camera"], data["sequence"]] = data
    return frames


def overlap(a, b):
    width = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    height = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (a["width"] * a["height"] + b["width"] * b["height"] - both)


def match(wanted, found):
    """Pairs of indices."""
    pairs = [(overlap(a["bounds"], b["bounds"]), i, j) for i, a in enumerate(wanted) for j, b in enumerate(found)]
    matched = {}
    for value, i, j in sorted(pairs, reverse=True):
        if value >= SAME_FACE and i not in matched and j not in matched.values():
            matched[i] = j
    return matched


def is_large(face):
    return max(face["bounds"]["width"], face["bounds"]["height"]) >= MIN_FACE


def share(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "none to find"


def main(full, default):
    full, default = read_frames(full), read_frames(default)
    if full.keys() != default.keys():
        sys.exit("the two files do not have the same frames")
    kinds, counts = Counter(), Counter()
    tracks, found_tracks = defaultdict(int), set()
    for place, frame in full.items():
        if frame["search"] != "full":
            sys.exit("the first file must come from a full search of every frame")
        other = default[place]
        kinds[other["search"]] += 1
        matched = match(frame["faces"], other["faces"])
        for index, face in enumerate(frame["faces"]):
            size = "large" if is_large(face) else "small"
            counts[size] += 1
            counts[size, "found"] += index in matched
            if size == "large":
                track = place[0], face["track"]
                tracks[track] += 1
                if index in matched:
                    found_tracks.add(track)
                else:
                    bounds, score = face["bounds"], face["score"]
                    where = ", ".join(f"{bounds[side]:.0f}" for side in ("x", "y", "width", "height"))
                    print(
                        f"  missed: {place[0]}, frame {place[1]} ({other['search']}): box {where}, score {score:.2f}",
                        file=sys.stderr,
                    )
        for index, face in enumerate(other["faces"]):
            counts["added"] += is_large(face) and index not in matched.values()
    long_tracks = {track for track, frames in tracks.items() if frames >= MIN_TRACK}
    large, small = counts["large"], counts["small"]
    missed = large - counts["large", "found"]
    print(f"  frames searched: {', '.join(f'{kind} {number}' for kind, number in kinds.most_common())}")
    print(
        f"  faces of {MIN_FACE} px and more: {large}, found {share(large - missed, large)}, "
        f"missed {missed}, added {counts['added']}"
    )
    print(f"  smaller faces: {small}, found {share(counts['small', 'found'], small)}")
    print(
        f"  tracks of {MIN_TRACK} frames and more: {len(long_tracks)}, "
        f"never found {len(long_tracks - found_tracks)}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
