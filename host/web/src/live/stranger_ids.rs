//! Which id a stranger has now, by what hosts and people said: merged, split or forgotten. Pure.

use everyframe_gallery::{StrangerChange, StrangerMerge, StrangerRecord};
use std::collections::{HashMap, HashSet};

/// From so many on, the expired ones are dropped.
const MANY: usize = 10_000;

/// The merges and changes that the strangers topic has.
#[derive(Debug, Default)]
pub struct StrangerIds {
    merges: HashMap<String, StrangerMerge>,
    changes: HashMap<String, StrangerChange>,
}

impl StrangerIds {
    /// Adds a record of the topic. Views say nothing about ids.
    pub fn add(&mut self, record: StrangerRecord) {
        match record {
            StrangerRecord::View(_) => {}
            StrangerRecord::Merge(merge) => {
                if self.merges.len() >= MANY {
                    self.merges.retain(|_, other| other.expires_at > merge.seen_at);
                }
                self.merges.insert(merge.stranger.clone(), merge);
            }
            StrangerRecord::Change(change) => {
                if self.changes.len() >= MANY {
                    self.changes.retain(|_, other| other.expires_at > change.changed_at);
                }
                self.changes.insert(change.stranger.clone(), change);
            }
        }
    }

    /// The stranger to whom a sight at a camera belongs; none if it was forgotten. `at` is when the frame was taken, Unix milliseconds.
    pub fn present(&self, stranger: &str, camera: &str, at: i64) -> Option<String> {
        let (mut id, mut before) = (stranger, HashSet::new());
        // Somebody may merge what was split.
        while before.insert(id) {
            if let Some(change) = self.changes.get(id) {
                let visit = change
                    .moved
                    .iter()
                    .find(|visit| visit.camera == camera && (visit.from..=visit.to).contains(&at));
                if let Some(visit) = visit {
                    id = &visit.stranger;
                    continue;
                }
                if change.forgotten_until.is_some_and(|until| at <= until) {
                    return None;
                }
            }
            if let Some(merge) = self.merges.get(id) {
                id = &merge.merged_into;
            }
        }
        Some(id.to_owned())
    }

    /// A stranger's id, and all ids that were merged into it.
    pub fn all_of(&self, stranger: &str) -> Vec<String> {
        let mut ids = vec![stranger.to_owned()];
        let mut next = 0;
        while let Some(id) = ids.get(next).cloned() {
            let merged = self.merges.values().filter(|merge| merge.merged_into == id);
            let new: Vec<String> =
                merged.map(|merge| merge.stranger.clone()).filter(|id| !ids.contains(id)).collect();
            ids.extend(new);
            next += 1;
        }
        ids
    }

    /// What somebody changed of a stranger before.
    pub fn change_of(&self, stranger: &str) -> Option<&StrangerChange> {
        self.changes.get(stranger)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use everyframe_gallery::MovedVisit;
    use everyframe_types::event::EventPosition;

    fn merge(stranger: &str, into: &str) -> StrangerRecord {
        StrangerRecord::Merge(StrangerMerge {
            stranger: stranger.into(),
            merged_into: into.into(),
            camera: "gate".into(),
            position: EventPosition { topic: "frames".into(), partition: 0, offset: 1 },
            seen_at: 0,
            expires_at: 1000,
        })
    }

    pub(in super::super) fn change(
        stranger: &str,
        forgotten_until: Option<i64>,
        moved: &[(&str, i64, i64, &str)],
    ) -> StrangerRecord {
        let visit = |&(camera, from, to, stranger): &(&str, i64, i64, &str)| MovedVisit {
            camera: camera.into(),
            from,
            to,
            stranger: stranger.into(),
        };
        let moved = moved.iter().map(visit).collect();
        let stranger = stranger.into();
        StrangerRecord::Change(StrangerChange {
            stranger,
            changed_at: 500,
            forgotten_until,
            moved,
            expires_at: 1000,
        })
    }

    #[test]
    fn a_sight_belongs_to_the_present_id() {
        let mut ids = StrangerIds::default();
        ids.add(merge("a", "b"));
        ids.add(merge("b", "c"));
        ids.add(change("c", Some(100), &[("gate", 50, 60, "d")]));
        let present = |id: &str, camera: &str, at: i64| ids.present(id, camera, at);
        assert_eq!(present("a", "gate", 200).as_deref(), Some("c"));
        assert_eq!(present("a", "gate", 100), None, "it was forgotten");
        assert_eq!(present("a", "gate", 60).as_deref(), Some("d"), "this visit was somebody else's");
        assert_eq!(present("a", "yard", 60), None, "the visit was at another camera");
        assert_eq!(present("d", "gate", 1).as_deref(), Some("d"));
        let mut all = ids.all_of("c");
        all.sort();
        assert_eq!(all, ["a", "b", "c"]);
    }

    #[test]
    fn a_circle_ends() {
        let mut ids = StrangerIds::default();
        ids.add(change("a", None, &[("gate", 0, 10, "b")]));
        ids.add(merge("b", "a"));
        assert!(ids.present("a", "gate", 5).is_some());
        assert_eq!(ids.all_of("a").len(), 2);
    }
}
