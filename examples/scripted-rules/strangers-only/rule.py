"""An alert rule: strangers, and nobody of the gallery, once a visit and only when they stay a little."""

from everyframe import Described, recall, remember, settings
from wit_world.imports.types import Alert, Severity

DAY_MS = 86_400_000


class Rule(Described):
    name = "strangers-only"
    version = "0.1.0"
    about = "Raises an alert for strangers, once a visit."
    schema = {
        "after_ms": {
            "type": "integer",
            "minimum": 0,
            "default": 2_000,
            "description": "Who goes by sooner than this is not told of, in ms.",
        },
    }


class Alerts:
    def judge(self, frame, subjects):
        return [alert(frame, subject) for subject in subjects if subject.stranger and is_due(subject.stranger)]


def is_due(stranger):
    told = f"told/{stranger.id}"
    if stranger.dwell < settings["after_ms"] or recall(told) == stranger.visits:
        return False
    remember(told, stranger.visits, DAY_MS)
    return True


def alert(frame, subject):
    id, visits = subject.stranger.id, subject.stranger.visits
    return Alert(
        severity=Severity.WARNING,
        kind="stranger",
        subject=id,
        dedup_key=f"stranger/{frame.camera}/{id}/{visits}",
        text=f"{id} is at {frame.camera}" + (f" for visit {visits}" if visits > 1 else " for the first time"),
        face=subject.face.index,
    )
