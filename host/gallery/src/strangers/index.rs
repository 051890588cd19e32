//! The look-up of strangers at one moment, and the writer that keeps it up to date.

use super::record::{StrangerRecord, changed_stranger, merged_stranger};
use crate::index::{Index, IndexWriter};
use crate::sample::{Sample, Terms};
use everyframe_types::face::{Candidate, Embedding, RecentStranger};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The most strangers that one look-up returns.
const MAX_FOUND: usize = 100;
/// The most records that a host keeps. A rule that shares without measure pushes out what would expire next, and no more. Views of
/// 128 numbers take about 120 MB.
const MAX_RECORDS: usize = 100_000;

/// The strangers of all cameras at one moment.
#[derive(Clone)]
pub struct StrangerIndex {
    index: Index,
    /// By id.
    seen: HashMap<Arc<str>, Seen>,
    /// The present id of each id that was merged.
    merged: HashMap<Arc<str>, Arc<str>>,
    /// When somebody changed a stranger by hand, by its id then.
    changed: HashMap<Arc<str>, i64>,
}

/// What the views of a stranger say about it. Times are Unix milliseconds of frame time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    first_seen_at: i64,
    last_seen_at: i64,
    visits: u32,
    expires_at: i64,
}

impl Seen {
    fn join(self, other: Self) -> Self {
        let latest = if other.last_seen_at > self.last_seen_at { other } else { self };
        Self {
            first_seen_at: self.first_seen_at.min(other.first_seen_at),
            last_seen_at: latest.last_seen_at,
            visits: latest.visits,
            expires_at: self.expires_at.max(other.expires_at),
        }
    }
}

impl StrangerIndex {
    /// The `count` (at most 100) strangers most similar to a face, best first, without those who have expired at `now`, Unix
    /// milliseconds of frame time.
    pub fn find(&self, face: &Embedding, count: usize, now: i64) -> Vec<RecentStranger> {
        let count = count.min(MAX_FOUND);
        let mut wanted = count;
        loop {
            let candidates = self.index.search(face, wanted);
            let is_all = candidates.len() < wanted || wanted == 0;
            let recent = |candidate: Candidate| {
                let seen = self.seen.get(candidate.person.as_str()).filter(|seen| seen.expires_at > now)?;
                Some(RecentStranger {
                    id: candidate.person,
                    similarity: candidate.similarity,
                    first_seen_at: seen.first_seen_at,
                    last_seen_at: seen.last_seen_at,
                    visits: seen.visits,
                })
            };
            let mut found: Vec<RecentStranger> = candidates.into_iter().filter_map(recent).collect();
            if is_all || found.len() >= count {
                found.truncate(count);
                return found;
            }
            // Expired strangers took some places.
            wanted *= 2;
        }
    }

    /// The stranger with whom this one was merged, if it was.
    pub fn merged_into(&self, stranger: &str) -> Option<&str> {
        self.merged.get(stranger).map(|id| &**id)
    }

    /// When somebody last changed this stranger by hand, Unix milliseconds.
    pub fn changed_at(&self, stranger: &str) -> Option<i64> {
        self.changed.get(stranger).copied()
    }

    /// The number of strangers.
    pub fn count(&self) -> usize {
        self.index.people_count()
    }
}

/// Keeps a [`StrangerIndex`] up to date.
pub struct StrangerIndexWriter {
    model: String,
    writer: IndexWriter,
    /// By record key.
    views: HashMap<String, View>,
    /// Merged id to the id that it was merged into, as the record says.
    merges: HashMap<String, String>,
    /// When somebody changed a stranger by hand, and until when its sightings are forgotten.
    changes: HashMap<String, Change>,
    /// When the record of each key is erased, Unix milliseconds of this machine's clock.
    deadlines: HashMap<String, i64>,
    by_deadline: BTreeSet<(i64, String)>,
    max_records: usize,
}

struct View {
    /// The stranger that the record names.
    stranger: String,
    /// The stranger's present id.
    owner: Arc<str>,
    seen: Seen,
}

#[derive(Clone, Copy)]
struct Change {
    changed_at: i64,
    forgotten_until: Option<i64>,
}

impl StrangerIndexWriter {
    /// An empty index for the embedding model with this SHA-256.
    pub fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            writer: IndexWriter::new(model),
            views: HashMap::new(),
            merges: HashMap::new(),
            changes: HashMap::new(),
            deadlines: HashMap::new(),
            by_deadline: BTreeSet::new(),
            max_records: MAX_RECORDS,
        }
    }

    /// Applies a record that was written at `recorded_at`, Unix milliseconds. It is erased when as much time has passed since then
    /// as frame time may pass until it expires. So late frames and replayed ones share their strangers, too.
    pub fn apply(&mut self, key: &str, record: StrangerRecord, recorded_at: i64) {
        self.erase(key);
        let (seen_at, expires_at) = record.times();
        match record {
            // A view of another model cannot be compared.
            StrangerRecord::View(view) if view.model != self.model => return,
            // A host that had not heard of it yet.
            StrangerRecord::View(view) if self.is_forgotten(&view.stranger, view.seen_at) => return,
            StrangerRecord::View(view) => {
                let owner = self.present_id(&view.stranger);
                let sample = Sample {
                    person: owner.clone(),
                    name: String::new(),
                    model: view.model,
                    embedding: view.embedding,
                    quality: view.quality,
                    source: String::new(),
                    enrolled_at: view.seen_at,
                    thumbnail: Vec::new(),
                    stranger: None,
                    negative: false,
                    terms: Terms::default(),
                };
                self.writer.store(key, &sample);
                let seen = Seen {
                    first_seen_at: view.first_seen_at,
                    last_seen_at: view.seen_at,
                    visits: view.visits,
                    expires_at: view.expires_at,
                };
                let view = View { stranger: view.stranger, owner: owner.into(), seen };
                self.views.insert(key.to_owned(), view);
            }
            StrangerRecord::Merge(merge) => {
                // Merges in a circle would leave no id. All hosts read the records in one order, so all ignore the same one.
                if self.present_id(&merge.merged_into) == merge.stranger {
                    return;
                }
                self.merges.insert(merge.stranger, merge.merged_into);
                self.reassign_views();
            }
            StrangerRecord::Change(change) => {
                let (changed_at, forgotten_until) = (change.changed_at, change.forgotten_until);
                self.changes.insert(change.stranger.clone(), Change { changed_at, forgotten_until });
                let is_forgotten = |view: &View| {
                    view.stranger == change.stranger
                        && forgotten_until.is_some_and(|until| view.seen.last_seen_at <= until)
                };
                let keys =
                    self.views.iter().filter(|(_, view)| is_forgotten(view)).map(|(key, _)| key.clone());
                keys.collect::<Vec<_>>().iter().for_each(|key| self.erase(key));
            }
        }
        let deadline = recorded_at.saturating_add(expires_at.saturating_sub(seen_at));
        self.deadlines.insert(key.to_owned(), deadline);
        self.by_deadline.insert((deadline, key.to_owned()));
        while self.deadlines.len() > self.max_records
            && let Some((_, key)) = self.by_deadline.first().cloned()
        {
            self.erase(&key);
        }
    }

    /// Erases what the record of a key said. A template's memory is overwritten, see [`IndexWriter::erase`].
    pub fn erase(&mut self, key: &str) {
        if let Some(deadline) = self.deadlines.remove(key) {
            self.by_deadline.remove(&(deadline, key.to_owned()));
        }
        if self.views.remove(key).is_some() {
            self.writer.erase(key);
        }
        if merged_stranger(key).is_some_and(|stranger| self.merges.remove(stranger).is_some()) {
            self.reassign_views();
        }
        if let Some(stranger) = changed_stranger(key) {
            self.changes.remove(stranger);
        }
    }

    fn is_forgotten(&self, stranger: &str, seen_at: i64) -> bool {
        let until = self.changes.get(stranger).and_then(|change| change.forgotten_until);
        until.is_some_and(|until| seen_at <= until)
    }

    /// Erases all records whose time is over at `now`, Unix milliseconds of this machine's clock. True if there were any.
    pub fn erase_expired(&mut self, now: i64) -> bool {
        let before = self.deadlines.len();
        while let Some((deadline, key)) = self.by_deadline.first().cloned()
            && deadline <= now
        {
            self.erase(&key);
        }
        self.deadlines.len() < before
    }

    /// The index as it is now.
    pub fn snapshot(&self) -> StrangerIndex {
        let mut seen: HashMap<Arc<str>, Seen> = HashMap::new();
        for view in self.views.values() {
            let joined = seen.get(&view.owner).map_or(view.seen, |others| others.join(view.seen));
            seen.insert(view.owner.clone(), joined);
        }
        let merged = self.merges.keys().map(|id| (id.as_str().into(), self.present_id(id).into()));
        let merged = merged.collect();
        let changed =
            self.changes.iter().map(|(id, change)| (id.as_str().into(), change.changed_at)).collect();
        StrangerIndex { index: self.writer.index().clone(), seen, merged, changed }
    }

    /// The id that a stranger has now. There are no circles.
    fn present_id(&self, stranger: &str) -> String {
        let mut id = stranger;
        while let Some(into) = self.merges.get(id) {
            id = into;
        }
        id.to_owned()
    }

    /// Gives each view to the present id of its stranger.
    fn reassign_views(&mut self) {
        let moved: Vec<(String, String)> = self
            .views
            .iter()
            .map(|(key, view)| (key, view, self.present_id(&view.stranger)))
            .filter(|(_, view, id)| *view.owner != **id)
            .map(|(key, _, id)| (key.clone(), id))
            .collect();
        for (key, id) in moved {
            self.writer.reassign(&key, &id);
            if let Some(view) = self.views.get_mut(&key) {
                view.owner = id.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::StrangerChange;
    use super::super::record::tests::{change, merge, view};
    use super::*;

    /// A writer that is told of records as they are written.
    struct Topic(StrangerIndexWriter);

    impl Topic {
        fn new() -> Self {
            Self(StrangerIndexWriter::new("m"))
        }

        fn write(&mut self, record: StrangerRecord, recorded_at: i64) {
            self.0.apply(&record.key(), record, recorded_at);
        }

        fn view(&mut self, stranger: &str, camera: &str, values: &[f32], at: i64) {
            self.write(StrangerRecord::View(view(stranger, camera, values, at)), at);
        }

        fn merge(&mut self, stranger: &str, into: &str, at: i64) {
            self.write(StrangerRecord::Merge(merge(stranger, into, at)), at);
        }

        fn find(&self, values: &[f32], now: i64) -> Vec<String> {
            let found = self.0.snapshot().find(&Embedding::from_raw(values).unwrap(), 10, now);
            found.into_iter().map(|stranger| stranger.id).collect()
        }
    }

    #[test]
    fn a_look_up_sees_the_views_of_all_cameras() {
        let mut topic = Topic::new();
        topic.view("ann", "gate-1", &[1.0, 0.0], 100);
        topic.view("ann", "gate-2", &[0.0, 1.0], 300);
        topic.view("bob", "gate-1", &[-1.0, 0.1], 200);
        let found = topic.0.snapshot().find(&Embedding::from_raw(&[0.1, 1.0]).unwrap(), 1, 400);
        let [ann] = &found[..] else { panic!("{found:?}") };
        assert!(ann.id == "ann" && ann.similarity > 0.99, "{ann:?}");
        assert_eq!((ann.first_seen_at, ann.last_seen_at, ann.visits), (100, 300, 1));
    }

    #[test]
    fn expired_strangers_are_not_found() {
        let mut topic = Topic::new();
        for (number, at) in (0..20).map(|number| (number, 100 + number)) {
            topic.view(&format!("old-{number}"), "gate", &[1.0, 0.0], at);
        }
        topic.view("new", "gate", &[1.0, 0.5], 2000);
        assert_eq!(topic.find(&[1.0, 0.0], 1500), ["new"]);
        assert_eq!(topic.find(&[1.0, 0.0], 3000), [""; 0]);
    }

    #[test]
    fn expired_templates_are_erased_by_the_time_of_their_records() {
        let mut topic = Topic::new();
        // The frame is old: its record was written a day later.
        let late = StrangerRecord::View(view("ann", "gate", &[1.0, 0.0], 0));
        topic.write(late, 86_400_000);
        topic.merge("bob", "ann", 86_400_000);
        assert!(!topic.0.erase_expired(86_400_999));
        assert_eq!(topic.find(&[1.0, 0.0], 500), ["ann"]);
        assert!(topic.0.erase_expired(86_401_000 + 86_400_000));
        let index = topic.0.snapshot();
        assert_eq!((index.count(), index.merged_into("bob")), (0, None));
        assert!(topic.0.views.is_empty() && topic.0.by_deadline.is_empty());
    }

    #[test]
    fn a_view_replaces_the_one_of_its_key() {
        let mut topic = Topic::new();
        topic.view("ann", "gate", &[1.0, 0.0], 100);
        topic.view("ann", "gate", &[0.0, 1.0], 900);
        assert!(!topic.0.erase_expired(1500), "the deadline is that of the second");
        let found = topic.0.snapshot().find(&Embedding::from_raw(&[1.0, 0.0]).unwrap(), 1, 1000);
        assert!(found[0].similarity < 0.1, "{found:?}");
        topic.0.erase("ann/gate/0");
        assert_eq!(topic.find(&[0.0, 1.0], 1000), [""; 0]);
    }

    #[test]
    fn merged_strangers_are_found_under_one_id() {
        let mut topic = Topic::new();
        topic.view("ann", "gate-1", &[1.0, 0.0], 100);
        topic.view("anna", "gate-2", &[0.0, 1.0], 200);
        topic.merge("anna", "ann", 300);
        // A camera that had not heard of it yet.
        topic.view("anna", "gate-3", &[0.5, 1.0], 310);
        assert_eq!(topic.find(&[0.0, 1.0], 400), ["ann"]);
        topic.merge("ann", "an", 320);
        assert_eq!(topic.find(&[0.0, 1.0], 400), ["an"]);
        let index = topic.0.snapshot();
        assert_eq!([index.merged_into("anna"), index.merged_into("ann")], [Some("an"); 2]);
        assert_eq!(index.merged_into("an"), None);
        // A tombstone undoes a merge.
        topic.0.erase("anna/merged");
        let mut both = topic.find(&[0.0, 1.0], 400);
        both.sort();
        assert_eq!(both, ["an", "anna"]);
    }

    #[test]
    fn merges_in_a_circle_are_ignored() {
        let mut topic = Topic::new();
        topic.view("a", "gate", &[1.0, 0.0], 100);
        topic.merge("a", "b", 110);
        topic.merge("b", "c", 120);
        topic.merge("c", "a", 130);
        topic.merge("c", "c", 140);
        assert_eq!(topic.find(&[1.0, 0.0], 200), ["c"]);
    }

    #[test]
    fn a_forgotten_stranger_is_found_from_later_frames_only() {
        let mut topic = Topic::new();
        topic.view("ann", "gate", &[1.0, 0.0], 100);
        topic.view("bob", "gate", &[0.9, 0.1], 100);
        topic.write(StrangerRecord::Change(change("ann", 200)), 200);
        // A camera that had not heard of it yet.
        topic.view("ann", "yard", &[1.0, 0.0], 150);
        assert_eq!(topic.find(&[1.0, 0.0], 300), ["bob"]);
        let index = topic.0.snapshot();
        assert_eq!((index.changed_at("ann"), index.changed_at("bob")), (Some(200), None));
        topic.view("ann", "gate", &[1.0, 0.0], 250);
        assert_eq!(topic.find(&[1.0, 0.0], 300), ["ann", "bob"]);
        assert!(topic.0.erase_expired(1200));
        assert_eq!(topic.0.snapshot().changed_at("ann"), None);
    }

    #[test]
    fn a_stranger_who_was_split_keeps_the_views_that_are_left() {
        let mut topic = Topic::new();
        topic.view("ann", "gate", &[1.0, 0.0], 100);
        let split = StrangerChange { forgotten_until: None, ..change("ann", 200) };
        topic.write(StrangerRecord::Change(split), 200);
        assert_eq!(topic.find(&[1.0, 0.0], 300), ["ann"]);
        assert_eq!(topic.0.snapshot().changed_at("ann"), Some(200));
    }

    #[test]
    fn above_the_limit_the_next_to_expire_are_erased() {
        let mut topic = Topic::new();
        topic.0.max_records = 2;
        topic.view("first", "gate", &[1.0, 0.0], 300);
        topic.view("second", "gate", &[1.0, 0.1], 100);
        topic.view("third", "gate", &[1.0, 0.2], 200);
        assert_eq!(topic.find(&[1.0, 0.0], 400), ["first", "third"]);
    }

    #[test]
    fn views_of_another_model_are_left_out() {
        let mut topic = Topic::new();
        let mut other = view("ann", "gate", &[1.0, 0.0], 100);
        other.model = "other".into();
        topic.write(StrangerRecord::View(other), 100);
        assert_eq!(topic.0.snapshot().count(), 0);
    }
}
