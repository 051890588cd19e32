// A matching policy: similar enough, clearly more so than the next, and seen well enough to say so.

import { described, settings } from "../everyframe.js";

const share = (fallback, description) => ({ type: "number", minimum: 0, maximum: 1, default: fallback, description });

export const rule = described({
  name: "sure-match",
  version: "0.1.0",
  about: "Says who a face is, if it is similar enough, clearly so, and seen well.",
  schema: {
    threshold: share(0.45, "A face less similar than this to everybody is unknown, cosine."),
    margin: share(0.05, "The next best person must be less similar by this, or the face is undecided, cosine."),
    min_quality: share(0.3, "A face of lower quality is undecided."),
  },
});

export const matching = {
  decide: (frame, probes) =>
    probes.map(({ face, candidates }) => ({ face: face.index, decision: decision(face, candidates) })),
};

// Candidates come best first.
const decision = ({ quality }, [best, next]) => {
  if (quality < settings.min_quality) return { tag: "undecided", val: "not seen well enough" };
  if (!best || best.similarity < settings.threshold) return { tag: "unknown" };
  if (next && best.similarity - next.similarity < settings.margin) {
    return { tag: "undecided", val: `${best.person} or ${next.person}` };
  }
  return { tag: "known", val: { person: best.person, confidence: Math.min(best.similarity, 1) } };
};
