// A rule of kind `matching-policy`: the most similar person, if similar enough and clearly more so than the next.

import { described, settings } from "./everyframe.js";

export const rule = described({
  name: "rule-name",
  version: "0.1.0",
  about: "Says who a face is: the most similar person, if similar enough and clearly so.",
  schema: {
    threshold: {
      type: "number",
      minimum: 0,
      maximum: 1,
      default: 0.45,
      description: "A face less similar than this to everybody is unknown, cosine.",
    },
    margin: {
      type: "number",
      minimum: 0,
      maximum: 1,
      default: 0.05,
      description: "The next best person must be less similar by this, or the face is undecided, cosine.",
    },
  },
});

export const matching = {
  decide: (frame, probes) =>
    probes.map(({ face, candidates }) => ({ face: face.index, decision: decision(candidates) })),
};

// Best first.
const decision = ([best, next]) => {
  if (!best || best.similarity < settings.threshold) return { tag: "unknown" };
  if (next && best.similarity - next.similarity < settings.margin) {
    return { tag: "undecided", val: `${best.person} and ${next.person} are alike` };
  }
  return { tag: "known", val: { person: best.person, confidence: Math.min(best.similarity, 1) } };
};
