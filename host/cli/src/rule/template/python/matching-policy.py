"""A rule of kind `matching-policy`: the most similar person, if similar enough and clearly more so than the next."""

from everyframe import Described, settings
from wit_world.imports.types import Decision_Known, Decision_Undecided, Decision_Unknown, Identity, Verdict


class Rule(Described):
    name = "rule-name"
    version = "0.1.0"
    about = "Says who a face is: the most similar person, if similar enough and clearly so."
    schema = {
        "threshold": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.45,
            "description": "A face less similar than this to everybody is unknown, cosine.",
        },
        "margin": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.05,
            "description": "The next best person must be less similar by this, or the face is undecided, cosine.",
        },
    }


class Matching:
    def decide(self, frame, probes):
        return [Verdict(probe.face.index, decision(probe.candidates)) for probe in probes]


def decision(candidates):
    # Best first.
    if not candidates or candidates[0].similarity < settings["threshold"]:
        return Decision_Unknown()
    best = candidates[0]
    for other in candidates[1:2]:
        if best.similarity - other.similarity < settings["margin"]:
            return Decision_Undecided(f"{best.person} and {other.person} are alike")
    return Decision_Known(Identity(best.person, min(best.similarity, 1.0)))
