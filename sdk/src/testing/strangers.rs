//! The strangers that a rule shared in a test.

use crate::{RecentStranger, Sighting, Timestamp};
use std::collections::BTreeMap;

/// The shared views and merges. Views expire in frame time, merges do not.
#[derive(Default)]
pub(super) struct SharedStrangers {
    /// By stranger, camera and number.
    views: BTreeMap<(String, String, u32), View>,
    /// Merged id to the id that is used instead.
    merged: BTreeMap<String, String>,
    /// When a stranger was forgotten by hand.
    changed: BTreeMap<String, Timestamp>,
}

struct View {
    embedding: Vec<f32>,
    first_seen_at: Timestamp,
    seen_at: Timestamp,
    visits: u32,
    until: Timestamp,
}

impl SharedStrangers {
    pub fn publish(
        &mut self,
        camera: &str,
        now: Timestamp,
        sighting: &Sighting,
        embedding: Option<Vec<f32>>,
    ) {
        let (stranger, Some(share)) = (&sighting.stranger, &sighting.share) else { return };
        if let Some(embedding) = embedding {
            let view = View {
                embedding,
                first_seen_at: stranger.first_seen_at,
                seen_at: now,
                visits: stranger.visits,
                until: now.saturating_add_unsigned(share.expires_in),
            };
            self.views.insert((stranger.id.clone(), camera.into(), share.view), view);
        }
        for merged in &stranger.merged {
            // Merges in a circle would leave no id.
            if self.present_id(&stranger.id) != merged {
                self.merged.insert(merged.clone(), stranger.id.clone());
            }
        }
    }

    pub fn find(&self, face: &[f32], count: usize, now: Timestamp) -> Vec<RecentStranger> {
        let views = move || self.views.iter().filter(move |(_, view)| now < view.until);
        let mut similarities: BTreeMap<&str, f32> = BTreeMap::new();
        for ((stranger, ..), view) in views() {
            let similarity = similarities.entry(self.present_id(stranger)).or_insert(-1.0);
            *similarity = similarity.max(cosine(&view.embedding, face));
        }
        let mut found: Vec<(&str, f32)> = similarities.into_iter().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(count);
        let recent = move |(id, similarity): (&str, f32)| {
            let own = move || {
                views()
                    .filter(move |((stranger, ..), _)| self.present_id(stranger) == id)
                    .map(|(_, view)| view)
            };
            let latest = own().max_by_key(|view| view.seen_at)?;
            Some(RecentStranger {
                id: id.into(),
                similarity,
                first_seen_at: own().map(|view| view.first_seen_at).min()?,
                last_seen_at: latest.seen_at,
                visits: latest.visits,
            })
        };
        found.into_iter().filter_map(recent).collect()
    }

    pub fn merged_into(&self, stranger: &str) -> Option<String> {
        self.merged.contains_key(stranger).then(|| self.present_id(stranger).into())
    }

    /// Forgets a stranger by hand.
    pub fn forget(&mut self, stranger: &str, now: Timestamp) {
        self.views.retain(|(id, ..), _| id != stranger);
        self.changed.insert(stranger.into(), now);
    }

    pub fn changed_at(&self, stranger: &str) -> Option<Timestamp> {
        self.changed.get(stranger).copied()
    }

    /// The id that a stranger has now.
    fn present_id<'a>(&'a self, stranger: &'a str) -> &'a str {
        let mut id = stranger;
        while let Some(into) = self.merged.get(id) {
            id = into;
        }
        id
    }
}

/// Cosine similarity, −1 to 1; −1 for vectors of different lengths.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return -1.0;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
