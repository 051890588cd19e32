//! Records a sight of a stranger: in this camera's state, in the answer for the host and, if due, for all cameras.

use crate::memory::{How, Memory, Named};
use everyframe_rule::{self as types, Event, Face, Sighting, StrangersHost};

impl Memory<'_> {
    /// Records that the stranger is seen, shares and writes the record if due, and returns the answer for the host.
    pub fn record(&mut self, face: &Face, mut named: Named, host: &mut dyn StrangersHost) -> Sighting {
        let is_due =
            named.is_renamed || named.how != How::Track || named.stranger.is_due(self.settings, self.now);
        if named.is_renamed {
            self.hear_of_present(&mut named, face, host);
        }
        let doubts = named.stranger.doubts;
        let mut event = match named.how {
            How::Birth => Some(Event::FirstSeen),
            How::Track | How::Looks => named.stranger.is_seen(self.settings, face.track_started_at, self.now),
        };
        let wants_view = named.stranger.views.wants_more();
        let wants_sharing = self.wants_sharing(&named.stranger, is_due);
        let embedding = if wants_view || wants_sharing { self.trusted_embedding(face, host) } else { None };
        let (mut has_learnt, mut merged, mut share) = (false, Vec::new(), None);
        if let Some(embedding) = embedding {
            let is_same = named.stranger.views.likeness(&embedding) >= self.settings.same_person;
            has_learnt = named.stranger.views.learn(&embedding);
            if is_same && (wants_sharing || has_learnt) && named.stranger.doubts == 0 {
                if event.is_none() {
                    merged = self.merge(&mut named, face, host);
                    event = (!merged.is_empty()).then_some(Event::Merged);
                }
                share = self.share(&mut named.stranger, &embedding);
            }
        }
        let Named { id, stranger, .. } = named;
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
