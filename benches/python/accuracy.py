#!/usr/bin/env python3
"""The accuracy of OpenCV's own detector and recogniser, to compare `everyframe accuracy` with.

    accuracy.py MODELS FOLDER    # the folder of models that make setup fills; FOLDER/PERSON/PICTURE

It measures the same as `everyframe accuracy`, with OpenCV's classes and numpy instead of Everyframe's code: a black border, the
face scaled to 112, 56 and 28 pixels of height, all pairs of pictures. A fused track is the plain mean of its pictures.
"""

import sys
from pathlib import Path

import cv2
import measure
import numpy as np

HEIGHTS = (112, 56, 28)
TRACK = 5


class Pipeline:
    def __init__(self, models):
        self.detector = cv2.FaceDetectorYN.create(
            str(models / "yunet-2023mar.onnx"), "", (320, 320), measure.SCORE, measure.OVERLAP
        )
        self.recogniser = cv2.FaceRecognizerSF.create(str(models / "sface-2021dec.onnx"), "")

    def largest_face(self, picture):
        self.detector.setInputSize((picture.shape[1], picture.shape[0]))
        _, faces = self.detector.detect(picture)
        return None if faces is None else max(faces, key=lambda face: face[2] * face[3])

    def embed(self, picture, face):
        embedding = self.recogniser.feature(self.recogniser.alignCrop(picture, face)).flatten()
        return embedding / np.linalg.norm(embedding)


def bordered(file):
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    border = max(picture.shape[:2]) // 2
    return cv2.copyMakeBorder(picture, *[border] * 4, cv2.BORDER_CONSTANT)


def scaled(picture, scale):
    size = [max(round(side * scale), 1) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def read(pipeline, folder):
    """The pictures with a face: (person, picture with a border, height of the face)."""
    for person, inside in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for file in sorted(inside.iterdir()):
            picture = bordered(file)
            face = None if picture is None else pipeline.largest_face(picture)
            if face is not None:
                yield person, picture, face[3]


def rates(same, different):
    """Equal error rate, and true accept rates at false accept rates of 1e-3 and 1e-4, percent."""
    thresholds = np.unique(np.concatenate([same, different]))
    rejected = np.searchsorted(np.sort(same), thresholds) / len(same)
    accepted = 1 - np.searchsorted(np.sort(different), thresholds) / len(different)
    nearest = np.argmin(np.abs(rejected - accepted))
    eer = (rejected[nearest] + accepted[nearest]) / 2
    tars = [
        f"{100 * (1 - rejected[accepted <= far].min()):.2f}" if far * len(different) >= 1 and (accepted <= far).any() else "-"
        for far in (1e-3, 1e-4)
    ]
    return [f"{100 * eer:.3f}", *tars]


def print_row(height, kind, probes, people, own, singles, single_people):
    """`own[i]` are the single pictures that probe i was made from."""
    similarities = probes @ singles.T
    used = np.zeros(similarities.shape, bool)
    for number, pictures in enumerate(own):
        used[number, pictures] = True
    same = people[:, None] == single_people
    nearest = np.where(used, -2, similarities).argmax(1)
    has_other = (same & ~used).any(1)
    rank_1 = f"{100 * (single_people[nearest] == people)[has_other].mean():.2f}" if has_other.any() else "-"
    # Of two single pictures, only one is the probe.
    counted = ~used & (np.tri(*used.shape, dtype=bool) if kind == "single" else True)
    cells = [len(probes), (same & counted).sum(), (~same & counted).sum()]
    cells += rates(similarities[same & counted], similarities[~same & counted])
    cells.append(rank_1)
    widths = (6, 8, 10, 7, 9, 9, 7)
    row = " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    print(f"{height:>3} px  {kind:<10} {row}")


def main(models, folder):
    pipeline = Pipeline(Path(models))
    subjects = list(read(pipeline, Path(folder)))
    print(f"OpenCV {cv2.__version__}: {len({person for person, _, _ in subjects})} people, {len(subjects)} pictures")
    print("  face  pictures    count     same  different     EER  TAR 1e-3  TAR 1e-4  rank-1")
    for height in HEIGHTS:
        found = {}
        for number, (_, picture, face_height) in enumerate(subjects):
            small = scaled(picture, height / face_height)
            face = pipeline.largest_face(small)
            if face is not None:
                found[number] = pipeline.embed(small, face)
        numbers = np.array(list(found))
        singles = np.array(list(found.values()))
        people = np.array([subjects[number][0] for number in numbers])
        print_row(height, "single", singles, people, np.arange(len(found)), singles, people)
        tracks, track_people, own = [], [], []
        for person in sorted({subject[0] for subject in subjects}):
            of_person = [number for number, subject in enumerate(subjects) if subject[0] == person]
            for start in range(0, len(of_person) - TRACK + 1, TRACK):
                parts = np.flatnonzero(np.isin(numbers, of_person[start : start + TRACK]))
                if len(parts):
                    mean = singles[parts].mean(0)
                    tracks.append(mean / np.linalg.norm(mean))
                    track_people.append(person)
                    own.append(parts)
        if tracks:
            print_row(height, f"fused {TRACK}", np.array(tracks), np.array(track_people), own, singles, people)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
