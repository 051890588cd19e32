"""A rule of kind `alerting`: tells of everybody who is recognised, once a visit."""

from everyframe import Described, begins_visit, settings
from wit_world.imports import gallery
from wit_world.imports.types import Alert, Decision_Known, Severity


class Rule(Described):
    name = "rule-name"
    version = "0.1.0"
    about = "Tells of everybody who is recognised, once a visit."
    schema = {
        "away_ms": {
            "type": "integer",
            "minimum": 1,
            "default": 60_000,
            "description": "Out of sight for longer than this, and the next visit begins, in ms.",
        },
    }


class Alerts:
    def judge(self, frame, subjects):
        alerts = (alert for subject in subjects if (alert := alert_about(subject)))
        # The host accepts at most 100 alerts per frame. The next frame reports the other people.
        return [alert for _, alert in zip(range(100), alerts)]


def alert_about(subject):
    if not isinstance(subject.decision, Decision_Known):
        return None
    person = subject.decision.value.person
    if not begins_visit(f"here/{person}", settings["away_ms"]):
        return None
    enrolled = gallery.find(person)
    return Alert(
        severity=Severity.INFO,
        kind="known-person",
        subject=person,
        dedup_key=f"known-person/{person}",
        text=f"{enrolled.name if enrolled else person} is here",
        face=subject.face.index,
    )
