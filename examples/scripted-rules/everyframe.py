"""What a rule needs besides its own logic: its description, its settings, what it remembers."""

import json

from componentize_py_types import Err
from wit_world.exports import rule
from wit_world.imports import log, state

# The rule's table in the host's TOML, with what it leaves out. Filled before the rule is asked anything.
settings = {}

TYPES = {"boolean": bool, "integer": int, "number": (int, float), "string": str, "array": list, "object": dict}


class Described:
    """The base of `Rule`, which has `name`, `version`, `about`, and `schema`: of each setting its JSON Schema."""

    def describe(self):
        schema = {"type": "object", "additionalProperties": False, "properties": self.schema}
        return rule.Description(self.name, self.version, self.about, json.dumps(schema))

    def configure(self, table):
        given = json.loads(table)
        settings.update({key: schema.get("default") for key, schema in self.schema.items()} | given)
        problems = {key: problem(self.schema.get(key), value) for key, value in given.items()}
        return [rule.Diagnostic(rule.Severity.ERROR, key, message) for key, message in problems.items() if message]


def problem(schema, value):
    """What is wrong with a setting, if anything is."""
    if schema is None:
        return "there is no such setting; `everyframe rule inspect` shows those that there are"
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"must be of type {kind}"
    if "minimum" in schema and value < schema["minimum"]:
        return f"must be {schema['minimum']} or more, is {value}"
    if "maximum" in schema and value > schema["maximum"]:
        return f"must be {schema['maximum']} or less, is {value}"
    return None


def recall(key):
    """What was remembered, or None."""
    value = state.get(key)
    return None if value is None else json.loads(value)


def remember(key, value, ttl_ms):
    """Keeps what JSON can hold from frame to frame, apart for each camera, for so long."""
    try:
        state.set(key, json.dumps(value).encode(), ttl_ms)
    except Err:
        # Better to tell the same twice than to fail.
        log.write(log.Level.WARN, f"{key} is not kept: the rule's share of state is used up")


def begins_visit(key, away_ms):
    """True at the first sight, and at the next one after an absence of `away_ms`."""
    is_new = recall(key) is None
    remember(key, True, away_ms)
    return is_new
