//! Records a sight of a stranger: in this camera's state, in the answer for the host and, if due, for all cameras.

use crate::memory::{IdentifiedStranger, MatchedBy, Memory};
use everyframe_rule::{self as types, Event, Face, Sighting, StrangersHost};

impl Memory<'_> {
    /// Records that the stranger is seen, shares and writes the record if due, and returns the answer for the host.
    pub fn record(
        &mut self,
        face: &Face,
        mut identified: IdentifiedStranger,
        host: &mut dyn StrangersHost,
    ) -> Sighting {
        let is_due = identified.is_renamed
            || identified.matched_by != MatchedBy::Track
            || identified.stranger.is_due(self.settings, self.now);
        if identified.is_renamed {
            self.update_present_from_shared(&mut identified, face, host);
        }
        let doubts = identified.stranger.doubts;
        let mut event = match identified.matched_by {
            MatchedBy::Nothing => Some(Event::FirstSeen),
            MatchedBy::Track | MatchedBy::Embedding => {
                identified.stranger.is_seen(self.settings, face.track_started_at, self.now)
            }
        };
        let wants_view = identified.stranger.views.wants_more();
        let wants_sharing = self.wants_sharing(&identified.stranger, is_due);
        let embedding = if wants_view || wants_sharing { self.trusted_embedding(face, host) } else { None };
        let (mut has_learnt, mut merged, mut share) = (false, Vec::new(), None);
        if let Some(embedding) = embedding {
            let is_same = identified.stranger.views.similarity(&embedding) >= self.settings.same_person;
            has_learnt = identified.stranger.views.learn(&embedding);
            if is_same && (wants_sharing || has_learnt) && identified.stranger.doubts == 0 {
                if event.is_none() {
                    merged = self.merge(&mut identified, face, host);
                    event = (!merged.is_empty()).then_some(Event::Merged);
                }
                share = self.share(&mut identified.stranger, &embedding);
            }
        }
        let IdentifiedStranger { id, stranger, .. } = identified;
        if is_due || has_learnt || event.is_some() || doubts != stranger.doubts {
            self.write(face, &id, &stranger, host);
        }
        let stranger = types::Stranger {
            face: face.index,
            dwell: stranger.dwell(),
            id,
            event,
            first_seen_at: stranger.first_seen_at,
            visits: stranger.visits,
            merged,
        };
        Sighting { stranger, share }
    }
}
