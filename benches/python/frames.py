#!/usr/bin/env python3
"""Writes clips as JPEG frames: frames.py CLIP... FOLDER   ->   FOLDER/CLIP/00000.jpg, …

Every pipeline of the bench reads these same bytes. A clip whose frames are all there is left alone.
"""

import shutil
import sys
from pathlib import Path

import cv2

QUALITY = 90  # what cameras send, roughly


def write_jpeg(path, picture):
    if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        sys.exit(f"could not write {path}")


def write_frames(clip, folder):
    """Writes every frame of `clip` to `folder`, which appears when complete. Returns how many there are."""
    if folder.is_dir():
        return sum(1 for _ in folder.glob("*.jpg"))
    unfinished = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    video = cv2.VideoCapture(str(clip))
    count = 0
    while True:
        more, picture = video.read()
        if not more:
            break
        write_jpeg(unfinished / f"{count:05}.jpg", picture)
        count += 1
    if not count:
        sys.exit(f"{clip}: no frame could be read")
    unfinished.rename(folder)
    return count


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__.strip())
    *clips, folder = map(Path, arguments)
    for clip in clips:
        print(f"{clip.stem}: {write_frames(clip, folder / clip.stem)} frames", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
