"""A rule of kind `unknown-person`: each track of an unknown face is a stranger, who may stay for so long.

Faces are not compared, so who comes back is a new stranger. `embeddings.get` gives what it takes to compare.
"""

from everyframe import Described, recall, remember, settings
from wit_world.imports.types import Event, Stranger

# A track that was not seen for this long is over.
GONE_MS = 60_000


class Rule(Described):
    name = "rule-name"
    version = "0.1.0"
    about = "Gives unknown faces an id while they are followed, and says who stays too long."
    schema = {
        "loiter_after_ms": {
            "type": "integer",
            "minimum": 1,
            "default": 20_000,
            "description": "Whoever stays for longer than this loiters, in ms.",
        },
    }


class Strangers:
    def observe(self, frame, faces):
        return [stranger(frame, face) for face in faces]


def stranger(frame, face):
    id = f"{frame.camera}-{face.track_started_at}-{face.track}"
    dwell = max(0, frame.captured_at - face.track_started_at)
    # What was said of the track before: kept apart for each camera, gone by itself.
    told = recall(f"track/{id}")
    event = None
    if told is None:
        event = Event.FIRST_SEEN
    elif told == Event.FIRST_SEEN.name and dwell > settings["loiter_after_ms"]:
        event = Event.LOITERING
    remember(f"track/{id}", event.name if event else told, GONE_MS)
    return Stranger(face.index, id, event, first_seen_at=face.track_started_at, dwell=dwell, visits=1)
