"""An unknown-person rule: a stranger has one id from track to track, and comes back, or stays for too long."""

from math import sqrt

from everyframe import Described, recall, remember, settings
from wit_world.imports import embeddings, state
from wit_world.imports.types import Event, Stranger

# A track that was not seen for this long is over.
GONE_MS = 60_000


def milliseconds(default, description):
    return {"type": "integer", "minimum": 1, "default": default, "description": description}


class Rule(Described):
    name = "same-stranger"
    version = "0.1.0"
    about = "Gives a stranger the same id from track to track, and says who is new, comes back, or loiters."
    schema = {
        "same_person": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.4,
            "description": "A face as similar as this to a stranger's last view is that stranger's, cosine.",
        },
        "loiter_after_ms": milliseconds(20_000, "Whoever stays for longer than this loiters, in ms."),
        "away_ms": milliseconds(30_000, "Out of sight for longer than this, and the next visit begins, in ms."),
        "forget_after_ms": milliseconds(86_400_000, "Not seen for longer than this, and forgotten, in ms."),
    }


class Strangers:
    def observe(self, frame, faces):
        return [stranger(frame, face, id) for face in faces if (id := who(frame, face))]


def who(frame, face):
    """The stranger whose track this is, or whose last view is most like this one; else a new one, if it can be seen."""
    track = f"track/{face.track_started_at}-{face.track}"
    id = recall(track)
    if id is None:
        view = embeddings.get(face.index)
        if view is None:
            return None
        known = [key.removeprefix("view/") for key in state.keys("view/")]
        likeness, id = max(((cosine(view, recall(f"view/{id}")), id) for id in known), default=(-1, None))
        if likeness < settings["same_person"]:
            id = f"{frame.camera}-{frame.captured_at}-{face.index}"
        remember(f"view/{id}", view, settings["forget_after_ms"])
    remember(track, id, GONE_MS)
    return id


def stranger(frame, face, id):
    now = frame.captured_at
    seen = recall(f"seen/{id}")
    event = None
    if seen is None:
        event = Event.FIRST_SEEN
        seen = {"first": now, "began": now, "visits": 1, "loitered": False}
    elif now - seen["last"] > settings["away_ms"]:
        event = Event.RETURNED
        seen |= {"began": now, "visits": seen["visits"] + 1, "loitered": False}
    elif now - seen["began"] > settings["loiter_after_ms"] and not seen["loitered"]:
        event = Event.LOITERING
        seen["loitered"] = True
    seen["last"] = now
    remember(f"seen/{id}", seen, settings["forget_after_ms"])
    dwell = max(0, now - seen["began"])
    return Stranger(face.index, id, event, first_seen_at=seen["first"], dwell=dwell, visits=seen["visits"])


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / (sqrt(sum(x * x for x in a) * sum(y * y for y in b)) or 1)
