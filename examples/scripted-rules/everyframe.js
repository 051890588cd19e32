// What a rule needs besides its own logic: its description, its settings, what it remembers.

import log from "everyframe:rules/log@0.1.0";
import state from "everyframe:rules/state@0.1.0";

// The rule's table in the host's TOML, with what it leaves out. Filled before the rule is asked anything.
export const settings = {};

// A rule's `rule`, of its `name`, `version`, `about`, and `schema`: of each setting its JSON Schema.
export const described = ({ name, version, about, schema }) => ({
  describe: () => ({
    name,
    version,
    about,
    settingsSchema: JSON.stringify({ type: "object", additionalProperties: false, properties: schema }),
  }),

  configure(table) {
    const given = JSON.parse(table);
    for (const key in schema) settings[key] = schema[key].default;
    Object.assign(settings, given);
    return Object.keys(given)
      .map((key) => ({ severity: "error", key, message: problem(schema[key], given[key]) }))
      .filter(({ message }) => message);
  },
});

// What is wrong with a setting, if anything is.
const problem = (schema, value) => {
  if (!schema) return "there is no such setting; `everyframe rule inspect` shows those that there are";
  if (!isOf(schema.type, value)) return `must be of type ${schema.type}`;
  if (value < schema.minimum) return `must be ${schema.minimum} or more, is ${value}`;
  if (value > schema.maximum) return `must be ${schema.maximum} or less, is ${value}`;
};

const isOf = (type, value) => {
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return Array.isArray(value);
  return typeof value === type && !Array.isArray(value);
};

// What was remembered, or null.
export const recall = (key) => {
  const value = state.get(key);
  return value && JSON.parse(Array.from(value, (byte) => String.fromCharCode(byte)).join(""));
};

// Keeps what JSON can hold from frame to frame, apart for each camera, for so long.
export const remember = (key, value, ttlMs) => {
  // JSON of ASCII alone: there is no TextEncoder here.
  const escaped = (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const text = JSON.stringify(value).replace(/[^\0-\x7f]/g, escaped);
  try {
    state.set(key, Uint8Array.from(text, (char) => char.charCodeAt(0)), ttlMs);
  } catch {
    // Better to tell the same twice than to fail.
    log.write("warn", `${key} is not kept: the rule's share of state is used up`);
  }
};

// True at the first sight, and at the next one after an absence of `awayMs`.
export const beginsVisit = (key, awayMs) => {
  const isNew = recall(key) === null;
  remember(key, true, awayMs);
  return isNew;
};
