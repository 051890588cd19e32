#!/usr/bin/env python3
"""Composes the bench's third set of frames: people who come near a fixed camera.

    visitors.py FOOTAGE STREET MODELS FOLDER    # the folders that make setup fills   ->   FOLDER/entrance/00000.jpg, …

The background is the street without its people. In front of it, people of the clips come in, walk, stand still and leave;
their faces are 30 to 80 pixels high. The seed is fixed, so the frames are the same each time. A folder that is there is left
alone.
"""

import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import frames
import numpy as np

WIDTH, HEIGHT = 960, 540
FRAMES, RATE = 600, 10  # the bench sends folders at 10 frames per second of the camera's time
VISITS = 16
FACE_HEIGHTS = (30, 80)  # pixels
STANDING_S = (1, 6)
# A face is about 24 cm high, and people walk at about 1.2 m/s: face heights a frame.
STEP = 1.2 / 0.24 / RATE
NOISE = 2.0  # standard deviation of a sensor's noise, brightness levels
# Clip, first and last frame: a face is in each of them.
PEOPLE = (
    ("WolfgangLanger_Pexels.mp4", 0, 460),
    ("face_noface.mov", 0, 70),
    ("single_face.mp4", 0, 70),
)


def read_pictures(clip, first, last):
    video = cv2.VideoCapture(str(clip))
    pictures = []
    for number in range(last):
        more, picture = video.read()
        if not more:
            sys.exit(f"{clip}: no frame {number}")
        if number >= first:
            pictures.append(picture)
    return pictures


def read_background(video):
    """The median of pictures over the whole video, in which nobody stays in one place; enlarged to the set's size."""
    video = cv2.VideoCapture(str(video))
    pictures = []
    while True:
        more, picture = video.read()
        if not more:
            break
        pictures.append(picture)
    if not pictures:
        sys.exit("the street's video cannot be read")
    empty = np.median(pictures[::20], axis=0).astype(np.uint8)
    rows = round(empty.shape[1] * HEIGHT / WIDTH)
    return cv2.resize(empty[-rows:], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)


class Person:
    """Head and shoulders of one clip, cut out of each picture with soft edges."""

    def __init__(self, pictures, detector):
        self.pictures = pictures
        height, width = pictures[0].shape[:2]
        detector.setInputSize((width, height))
        boxes = []
        for picture in pictures[::10]:
            _, faces = detector.detect(picture)
            if faces is not None:
                boxes.append(faces[0][:4])
        # One place for the whole clip, so that the person still moves in it.
        x, y, face_width, self.face_height = (float(value) for value in np.median(boxes, axis=0))
        centre = x + face_width / 2
        alpha = np.zeros((height, width), np.float32)
        head = (centre, y + 0.42 * self.face_height), (1.5 * face_width, 1.5 * self.face_height)
        shoulders = (centre, y + 1.75 * self.face_height), (3.2 * face_width, 1.5 * self.face_height)
        for middle, size in (head, shoulders):
            cv2.ellipse(alpha, (middle, size, 0), 1.0, cv2.FILLED)
        # The picture's own borders get soft edges, too.
        alpha[[0, -1]] = 0
        alpha[:, [0, -1]] = 0
        edge = 0.05 * self.face_height
        alpha = cv2.erode(alpha, np.ones((round(2 * edge),) * 2), borderValue=0)
        self.alpha = cv2.GaussianBlur(alpha, (0, 0), edge / 2)
        self.middle = (centre, y + self.face_height / 2)

    def draw(self, canvas, number, centre, face_height):
        """Draws the person's picture of this number, with the middle of the face at `centre`."""
        scale = face_height / self.face_height
        # To and fro, so that the clip has no cut.
        turn = number % (2 * len(self.pictures) - 2)
        picture = self.pictures[min(turn, 2 * len(self.pictures) - 2 - turn)]
        small, alpha = (
            cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for whole in (picture, self.alpha)
        )
        left, top = (round(at - scale * middle) for at, middle in zip(centre, self.middle))
        height, width = alpha.shape
        x, y = max(left, 0), max(top, 0)
        right, bottom = min(left + width, WIDTH), min(top + height, HEIGHT)
        if x >= right or y >= bottom:
            return
        inside = slice(y - top, bottom - top), slice(x - left, right - left)
        share = alpha[inside][:, :, None]
        canvas[y:bottom, x:right] += share * (small[inside] - canvas[y:bottom, x:right])


@dataclass
class Visit:
    """One person comes in from a side, walks to a place, stands there, and leaves by a side."""

    person: Person
    face_height: float
    begin: int  # frame
    place: float  # where the person stands, pixels
    row: float  # of the middle of the face
    standing: int  # frames
    from_side: int  # -1 left, 1 right
    to_side: int

    def position(self, frame):
        """The middle of the face; None before and after the visit."""
        step, margin = STEP * self.face_height, 3 * self.face_height
        outside = {-1: -margin, 1: WIDTH + margin}
        way_in, way_out = (abs(self.place - outside[side]) / step for side in (self.from_side, self.to_side))
        time = frame - self.begin
        if not 0 <= time <= way_in + self.standing + way_out:
            return None
        if time < way_in:
            x = outside[self.from_side] - self.from_side * step * time
        elif time < way_in + self.standing:
            return self.place, self.row
        else:
            x = self.place + self.to_side * step * (time - way_in - self.standing)
        # People go up and down by about 4 cm, twice a second.
        return x, self.row + 0.08 * self.face_height * math.sin(2 * math.pi * 2 * frame / RATE + 0.5)


def plan_visits(people, dice):
    visits = []
    for number in range(VISITS):
        face_height = dice.uniform(*FACE_HEIGHTS)
        visits.append(
            Visit(
                person=people[number % len(people)],
                face_height=face_height,
                begin=round((number + dice.uniform(0, 1)) * (FRAMES - 60) / VISITS),
                place=dice.uniform(0.15, 0.85) * WIDTH,
                row=dice.uniform(0.3, 0.75) * HEIGHT,
                standing=round(dice.uniform(*STANDING_S) * RATE),
                from_side=int(dice.choice((-1, 1))),
                to_side=int(dice.choice((-1, 1))),
            )
        )
    # Who is nearer, and so larger, is in front.
    return sorted(visits, key=lambda visit: visit.face_height)


def main(footage, street, models, folder):
    folder = Path(folder) / "entrance"
    if folder.is_dir():
        return
    model = str(Path(models) / "yunet-2023mar.onnx")
    detector = cv2.FaceDetectorYN.create(model, "", (320, 320))
    people = [
        Person(read_pictures(Path(footage) / clip, first, last), detector) for clip, first, last in PEOPLE
    ]
    dice = np.random.default_rng(14)
    visits = plan_visits(people, dice)
    background = read_background(Path(street) / "vtest.avi")
    unfinished = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for frame in range(FRAMES):
        canvas = background.copy()
        for visit in visits:
            position = visit.position(frame)
            if position:
                visit.person.draw(canvas, frame, position, visit.face_height)
        canvas += NOISE * dice.standard_normal((HEIGHT, WIDTH, 1), np.float32)
        picture = canvas.round().clip(0, 255).astype(np.uint8)
        frames.write_jpeg(unfinished / f"{frame:05}.jpg", picture)
    unfinished.rename(folder)
    print(f"entrance: {FRAMES} frames", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
