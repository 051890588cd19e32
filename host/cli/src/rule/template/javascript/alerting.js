// A rule of kind `alerting`: tells of everybody who is recognised, once a visit.

import gallery from "everyframe:rules/gallery@0.1.0";
import { beginsVisit, described, settings } from "./everyframe.js";

export const rule = described({
  name: "rule-name",
  version: "0.1.0",
  about: "Tells of everybody who is recognised, once a visit.",
  schema: {
    away_ms: {
      type: "integer",
      minimum: 1,
      default: 60_000,
      description: "Out of sight for longer than this, and the next visit begins, in ms.",
    },
  },
});

export const alerts = {
  judge: (frame, subjects) => {
    const alerts = [];
    for (const subject of subjects) {
      // The host accepts at most 100 alerts per frame. The next frame reports the other people.
      if (alerts.length === 100) break;
      alerts.push(...alertsAbout(subject));
    }
    return alerts;
  },
};

const alertsAbout = ({ face, decision }) => {
  if (decision.tag !== "known") return [];
  const { person } = decision.val;
  if (!beginsVisit(`here/${person}`, settings.away_ms)) return [];
  return [
    {
      severity: "info",
      kind: "known-person",
      subject: person,
      dedupKey: `known-person/${person}`,
      text: `${gallery.find(person)?.name ?? person} is here`,
      face: face.index,
    },
  ];
};
