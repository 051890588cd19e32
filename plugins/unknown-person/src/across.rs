//! Strangers across cameras: what other cameras have shared, and what this camera shares.
//!
//! Two cameras that meet a stranger at the same moment do not know of each other yet, and give two ids. While the stranger stays,
//! each of them looks up the face again, often at first. The camera with the later id gives it up. If that camera does not see the
//! stranger any more, the one with the earlier id merges both.

use crate::memory::{IdentifiedStranger, MatchedBy, Memory};
use crate::stranger::{Stranger, elapsed};
use crate::views::Views;
use everyframe_rule::{Face, RecentStranger, Share, StrangersHost};

/// How many strangers of other cameras are looked up for a face. Some of them may be in the frame already.
const LOOKED_UP: u32 = 5;

impl Memory<'_> {
    /// The strangers of all cameras who are this face, best first.
    pub fn find_elsewhere(&self, face: &Face, host: &dyn StrangersHost) -> Vec<RecentStranger> {
        if !self.settings.across_cameras {
            return Vec::new();
        }
        let mut found = host.recent_strangers(face.index, LOOKED_UP);
        found.retain(|recent| {
            recent.similarity >= self.settings.same_person_elsewhere
                && elapsed(recent.last_seen_at, self.now) <= self.settings.forget_after_ms
                && !self.is_taken(&recent.id)
        });
        found
    }

    /// Takes a stranger of another camera for a face; none if the face cannot be remembered.
    pub fn adopt(
        &mut self,
        recent: &RecentStranger,
        face: &Face,
        host: &mut dyn StrangersHost,
    ) -> Option<IdentifiedStranger> {
        if self.is_taken(&recent.id) {
            return None;
        }
        let views = Views::of(&self.trusted_embedding(face, host)?)?;
        let stranger = Stranger::from_elsewhere(recent, face.track_started_at, views);
        Some(self.add(recent.id.clone(), stranger, MatchedBy::Embedding, host))
    }

    /// Adds what other cameras know of a stranger whom this camera has just renamed.
    pub fn update_present_from_shared(
        &self,
        identified: &mut IdentifiedStranger,
        face: &Face,
        host: &dyn StrangersHost,
    ) {
        let found = host.recent_strangers(face.index, LOOKED_UP);
        if let Some(recent) = found.iter().find(|recent| recent.id == identified.id) {
            identified.stranger.update_from_shared(recent, self.settings, face.track_started_at, self.now);
        }
    }

    /// Whether to share the stranger again. `is_due` is whether its record is written anyway.
    pub fn wants_sharing(&self, stranger: &Stranger, is_due: bool) -> bool {
        self.settings.across_cameras && is_due && stranger.wants_sharing(self.settings, self.now)
    }

    /// Shares the face as the view that is most similar to it.
    pub fn share(&self, stranger: &mut Stranger, embedding: &[f32]) -> Option<Share> {
        if !self.settings.across_cameras {
            return None;
        }
        stranger.shared_at = self.now;
        let view = stranger.views.nearest(embedding) as u32;
        Some(Share { view, expires_in: self.settings.share_for_ms() })
    }

    /// Merges the stranger of a face with the most similar stranger of other cameras who is evidently the same person. Returns
    /// the id that is no longer used, if there is such a stranger.
    pub fn merge(
        &mut self,
        identified: &mut IdentifiedStranger,
        face: &Face,
        host: &mut dyn StrangersHost,
    ) -> Vec<String> {
        // The stranger itself is taken, so it is not found.
        let Some(other) = self.find_elsewhere(face, host).into_iter().next() else { return Vec::new() };
        let is_earlier =
            (identified.stranger.first_seen_at, &identified.id) < (other.first_seen_at, &other.id);
        // The other camera, if it still sees the stranger, does the same: one of them is to say it.
        if is_earlier && elapsed(other.last_seen_at, self.now) <= 2 * self.settings.share_every_ms() {
            return Vec::new();
        }
        if let Some(remembered) = self.load(&other.id, host) {
            identified.stranger.absorb(remembered);
        }
        identified.stranger.update_from_shared(&other, self.settings, face.track_started_at, self.now);
        let unused = if is_earlier { other.id } else { std::mem::replace(&mut identified.id, other.id) };
        self.forget(&unused, host);
        self.mark_taken(&identified.id);
        vec![unused]
    }
}
