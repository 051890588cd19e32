// An unknown-person rule: a stranger has one id from track to track, and comes back, or stays for too long.

import embeddings from "everyframe:rules/embeddings@0.1.0";
import state from "everyframe:rules/state@0.1.0";
import { described, recall, remember, settings } from "../everyframe.js";

// A track that was not seen for this long is over.
const GONE_MS = 60_000;

const milliseconds = (fallback, description) => ({ type: "integer", minimum: 1, default: fallback, description });

export const rule = described({
  name: "same-stranger",
  version: "0.1.0",
  about: "Gives a stranger the same id from track to track, and says who is new, comes back, or loiters.",
  schema: {
    same_person: {
      type: "number",
      minimum: 0,
      maximum: 1,
      default: 0.4,
      description: "A face as similar as this to a stranger's last view is that stranger's, cosine.",
    },
    loiter_after_ms: milliseconds(20_000, "Whoever stays for longer than this loiters, in ms."),
    away_ms: milliseconds(30_000, "Out of sight for longer than this, and the next visit begins, in ms."),
    forget_after_ms: milliseconds(86_400_000, "Not seen for longer than this, and forgotten, in ms."),
  },
});

export const strangers = {
  observe: (frame, faces) =>
    faces.map((face) => [face, who(frame, face)]).flatMap(([face, id]) => (id ? [stranger(frame, face, id)] : [])),
};

// The stranger whose track this is, or whose last view is most like this one; else a new one, if it can be seen.
const who = ({ camera, capturedAt }, face) => {
  const track = `track/${face.trackStartedAt}-${face.track}`;
  let id = recall(track);
  if (!id) {
    const view = embeddings.get(face.index);
    if (!view) return null;
    const [likest] = state
      .keys("view/")
      .map((key) => ({ id: key.slice("view/".length), likeness: cosine(view, recall(key)) }))
      .sort((a, b) => b.likeness - a.likeness);
    id = likest?.likeness >= settings.same_person ? likest.id : `${camera}-${capturedAt}-${face.index}`;
    remember(`view/${id}`, view, settings.forget_after_ms);
  }
  remember(track, id, GONE_MS);
  return id;
};

const stranger = ({ capturedAt: now }, { index }, id) => {
  const seen = recall(`seen/${id}`) ?? { first: now, visits: 0 };
  let event = null;
  if (!seen.visits || now - seen.last > settings.away_ms) {
    event = seen.visits ? "returned" : "first-seen";
    Object.assign(seen, { began: now, visits: seen.visits + 1, loitered: false });
  } else if (now - seen.began > settings.loiter_after_ms && !seen.loitered) {
    event = "loitering";
    seen.loitered = true;
  }
  seen.last = now;
  remember(`seen/${id}`, seen, settings.forget_after_ms);
  const dwell = Math.max(0, now - seen.began);
  return { face: index, id, event, firstSeenAt: seen.first, dwell, visits: seen.visits };
};

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const cosine = (a, b) => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
