// An alert rule: strangers, and nobody of the gallery, once a visit and only when they stay a little.

import { described, recall, remember, settings } from "../everyframe.js";

const DAY_MS = 86_400_000;

export const rule = described({
  name: "strangers-only",
  version: "0.1.0",
  about: "Raises an alert for strangers, once a visit.",
  schema: {
    after_ms: {
      type: "integer",
      minimum: 0,
      default: 2_000,
      description: "Who goes by sooner than this is not told of, in ms.",
    },
  },
});

export const alerts = {
  judge: (frame, subjects) =>
    subjects.filter(({ stranger }) => stranger && isDue(stranger)).map((subject) => alert(frame, subject)),
};

const isDue = ({ id, visits, dwell }) => {
  if (dwell < settings.after_ms || recall(`told/${id}`) === visits) return false;
  remember(`told/${id}`, visits, DAY_MS);
  return true;
};

const alert = ({ camera }, { face, stranger: { id, visits } }) => ({
  severity: "warning",
  kind: "stranger",
  subject: id,
  dedupKey: `stranger/${camera}/${id}/${visits}`,
  text: `${id} is at ${camera} for ${visits > 1 ? `visit ${visits}` : "the first time"}`,
  face: face.index,
});
