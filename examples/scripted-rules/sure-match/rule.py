"""A matching policy: similar enough, clearly more so than the next, and seen well enough to say so."""

from everyframe import Described, settings
from wit_world.imports.types import Decision_Known, Decision_Undecided, Decision_Unknown, Identity, Verdict


def share(default, description):
    return {"type": "number", "minimum": 0, "maximum": 1, "default": default, "description": description}


class Rule(Described):
    name = "sure-match"
    version = "0.1.0"
    about = "Says who a face is, if it is similar enough, clearly so, and seen well."
    schema = {
        "threshold": share(0.45, "A face less similar than this to everybody is unknown, cosine."),
        "margin": share(0.05, "The next best person must be less similar by this, or the face is undecided, cosine."),
        "min_quality": share(0.3, "A face of lower quality is undecided."),
    }


class Matching:
    def decide(self, frame, probes):
        return [Verdict(probe.face.index, decision(probe)) for probe in probes]


def decision(probe):
    if probe.face.quality < settings["min_quality"]:
        return Decision_Undecided("not seen well enough")
    # Best first.
    if not probe.candidates or probe.candidates[0].similarity < settings["threshold"]:
        return Decision_Unknown()
    best = probe.candidates[0]
    for other in probe.candidates[1:2]:
        if best.similarity - other.similarity < settings["margin"]:
            return Decision_Undecided(f"{best.person} or {other.person}")
    return Decision_Known(Identity(best.person, min(best.similarity, 1.0)))
