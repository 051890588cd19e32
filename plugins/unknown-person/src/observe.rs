//! Assigns each unknown face to a stranger: first by its track, then by its embedding, else a new stranger.

use crate::memory::{IdentifiedStranger, MatchedBy, Memory, track_key};
use crate::settings::Settings;
use crate::stranger::{self, Stranger, elapsed};
use crate::views::Views;
use everyframe_rule::{Face, Frame, Sighting, StrangersHost, UnknownPersonRule};
use std::collections::{BTreeMap, BTreeSet};

impl UnknownPersonRule for Settings {
    fn observe(&self, frame: &Frame, faces: &[Face], host: &mut dyn StrangersHost) -> Vec<Sighting> {
        let mut memory = Memory::new(self, frame.captured_at);
        let mut identified = match_tracks(&mut memory, faces, host);
        let postponed = match_embeddings(&mut memory, faces, &mut identified, host);
        create_strangers(&mut memory, frame, faces, &mut identified, &postponed, host);
        faces
            .iter()
            .zip(identified)
            .filter_map(|(face, identified)| Some(memory.record(face, identified?, host)))
            .collect()
    }
}

/// The maximum number of comparisons with remembered views in one frame, so that a crowd of a thousand stays within the
/// rule's time limit. The other faces get no id yet; they are compared in a later frame.
const MAX_COMPARISONS: usize = 40_000;

fn match_tracks(
    memory: &mut Memory,
    faces: &[Face],
    host: &mut dyn StrangersHost,
) -> Vec<Option<IdentifiedStranger>> {
    let mut identified: Vec<Option<IdentifiedStranger>> = Vec::with_capacity(faces.len());
    for face in faces {
        let id = host.get_bytes(&track_key(face)).and_then(|id| String::from_utf8(id).ok());
        identified.push(id.and_then(|id| memory.take(&id, MatchedBy::Track, host)));
    }
    identified
}

/// Assigns faces without a stranger to the most similar strangers of this camera and of others, highest similarity first, each
/// stranger once. Returns the faces that were not compared because there were too many.
fn match_embeddings(
    memory: &mut Memory,
    faces: &[Face],
    identified: &mut [Option<IdentifiedStranger>],
    host: &mut dyn StrangersHost,
) -> BTreeSet<usize> {
    let (same_person, now) = (memory.settings.same_person, memory.now);
    let mut unmatched: Vec<usize> = (0..faces.len()).filter(|place| identified[*place].is_none()).collect();
    if unmatched.is_empty() {
        return BTreeSet::new();
    }
    // Best quality first. Equal ones keep their order, so that a replay gives the same answers.
    unmatched.sort_by(|a, b| faces[*b].quality.total_cmp(&faces[*a].quality).then(a.cmp(b)));
    let mut room = MAX_COMPARISONS;
    let (mut pairs, mut postponed) = (Vec::new(), BTreeSet::new());
    let mut elsewhere = BTreeMap::new();
    for place in unmatched {
        let Some(embedding) = memory.trusted_embedding(&faces[place], host) else { continue };
        let views: usize = memory.everybody(host).values().map(|stranger| stranger.views.count()).sum();
        // At least one face is compared.
        if views > room && room < MAX_COMPARISONS {
            postponed.insert(place);
            continue;
        }
        room = room.saturating_sub(views);
        for (id, stranger) in memory.everybody(host) {
            let similarity = stranger.views.similarity(&embedding);
            if similarity >= same_person {
                pairs.push((stranger.is_ahead(now), similarity, place, id.clone()));
            }
        }
        for recent in memory.find_elsewhere(&faces[place], host) {
            pairs.push((false, recent.similarity, place, recent.id.clone()));
            elsewhere.insert((place, recent.id.clone()), recent);
        }
    }
    // Equal similarities are ordered by face and id, so that a replay gives the same answers. A stranger last seen in the
    // future comes last: a wrong clock stamped that time.
    pairs.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then_with(|| (a.2, &a.3).cmp(&(b.2, &b.3))));
    for (.., place, id) in pairs {
        if identified[place].is_none() {
            let recent = elsewhere.get(&(place, id.clone()));
            let known = memory.take(&id, MatchedBy::Embedding, host);
            identified[place] = known.or_else(|| memory.adopt(recent?, &faces[place], host));
            if let (Some(identified), Some(recent)) = (&mut identified[place], recent) {
                let began = faces[place].track_started_at;
                identified.stranger.update_from_shared(recent, memory.settings, began, now);
            }
        }
    }
    postponed
}

/// Creates strangers for new faces of good quality whose tracks are old enough.
fn create_strangers(
    memory: &mut Memory,
    frame: &Frame,
    faces: &[Face],
    identified: &mut [Option<IdentifiedStranger>],
    postponed: &BTreeSet<usize>,
    host: &mut dyn StrangersHost,
) {
    for (place, face) in faces.iter().enumerate() {
        let first_seen_at = face.track_started_at.min(memory.now);
        let is_flicker = elapsed(first_seen_at, memory.now) < memory.settings.confirm_after_ms;
        if identified[place].is_some() || is_flicker || postponed.contains(&place) {
            continue;
        }
        let Some(embedding) = memory.trusted_embedding(face, host) else { continue };
        let Some(views) = Views::of(&embedding) else { continue };
        let mut began_at = first_seen_at;
        let mut id = stranger::id(&frame.camera, face.track, began_at);
        // Somebody forgot or split the stranger that began with this track. Who is still here is another one, from then on.
        while let Some(changed_at) = host.changed_at(&id).filter(|_| memory.load(&id, host).is_none()) {
            began_at = changed_at.max(began_at.saturating_add(1));
            id = stranger::id(&frame.camera, face.track, began_at);
        }
        if memory.is_taken(&id) {
            continue;
        }
        // If a track's key expired, the track still belongs to the stranger that began with it.
        let known = memory.take(&id, MatchedBy::Track, host);
        let now = memory.now;
        let new = || Stranger::new(began_at.min(now), now, views);
        identified[place] = known.or_else(|| Some(memory.add(id, new(), MatchedBy::Nothing, host)));
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
