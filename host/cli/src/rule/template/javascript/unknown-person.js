// A rule of kind `unknown-person`: each track of an unknown face is a stranger, who may stay for so long.
//
// Faces are not compared, so who comes back is a new stranger. `embeddings.get` gives what it takes to compare.

import { described, recall, remember, settings } from "./everyframe.js";

// A track that was not seen for this long is over.
const GONE_MS = 60_000;

export const rule = described({
  name: "rule-name",
  version: "0.1.0",
  about: "Gives unknown faces an id while they are followed, and says who stays too long.",
  schema: {
    loiter_after_ms: {
      type: "integer",
      minimum: 1,
      default: 20_000,
      description: "Whoever stays for longer than this loiters, in ms.",
    },
  },
});

export const strangers = {
  observe: (frame, faces) => faces.map((face) => stranger(frame, face)),
};

const stranger = ({ camera, capturedAt }, { index, track, trackStartedAt }) => {
  const id = `${camera}-${trackStartedAt}-${track}`;
  const dwell = Math.max(0, capturedAt - trackStartedAt);
  // What was said of the track before: kept apart for each camera, gone by itself.
  const told = recall(`track/${id}`);
  let event = null;
  if (told === null) event = "first-seen";
  else if (told === "first-seen" && dwell > settings.loiter_after_ms) event = "loitering";
  remember(`track/${id}`, event ?? told, GONE_MS);
  return { face: index, id, event, firstSeenAt: trackStartedAt, dwell, visits: 1 };
};
