//! The state that rules keep from frame to frame.
//!
//! There is one scope for each rule and camera. A call works on a [`StateTransaction`]: the scope as it was, with the call's
//! changes on top. The changes of all rules of a frame are applied together after every rule succeeded. A frame that is parked
//! or processed again therefore finds the state that the first attempt found. [`RuleState::apply`] returns the changes, which
//! are published with the frame. [`RuleState::restore`] applies published changes when a lane starts.
//!
//! Time is the frame's time. A value expires when a frame of its camera is as late as its expiry. It is deleted only when two
//! frames in a row are that late, so that one frame with a wrong time loses nothing.

use everyframe_types::id::is_named_in;
use everyframe_types::judgement::{StateChange, StateValue};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Counted for each entry besides its key and value, bytes. Without it, a million empty values would be free.
const ENTRY_BYTES: usize = 64;

/// The longest key, bytes.
const KEY_BYTES: usize = 256;

/// The state of all rules for the cameras of one lane.
///
/// Frames of one camera must be judged in their order and with the same `RuleState`.
#[derive(Debug, Default)]
pub struct RuleState {
    cameras: HashMap<String, HashMap<String, Arc<Scope>>>,
    /// By camera, the time of its last frame, Unix milliseconds. Only of cameras with values.
    times: HashMap<String, i64>,
}

/// One rule's values for one camera.
#[derive(Debug, Default, Clone)]
struct Scope {
    values: BTreeMap<String, StateValue>,
    /// Size of all values, including expired ones that are not deleted yet.
    bytes: usize,
    /// No value expires before this.
    first_expiry: Option<i64>,
}

fn is_expired(value: &StateValue, now: i64) -> bool {
    value.expires_at.is_some_and(|at| at <= now)
}

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetError {
    /// The scope would be larger than its limit.
    Full,
    /// The key is empty or too long.
    BadKey,
}

/// A scope with the changes of one call on top.
#[derive(Debug, Default)]
pub(super) struct StateTransaction {
    before: Arc<Scope>,
    changes: BTreeMap<String, Option<StateValue>>,
    bytes: usize,
    limit: usize,
    now: i64,
    refused: u64,
}

/// The changes of one call. Applied by [`RuleState::apply`]. A value of none is a deletion.
#[derive(Debug)]
pub(super) struct StateChanges {
    rule: String,
    values: BTreeMap<String, Option<StateValue>>,
}

impl RuleState {
    /// No state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Size of the state of all rules and cameras, bytes.
    pub fn bytes(&self) -> usize {
        self.cameras.values().flat_map(HashMap::values).map(|scope| scope.bytes).sum()
    }

    /// Deletes the state of a camera. Returns the deletions, to be published.
    pub fn delete_camera(&mut self, camera: &str) -> Vec<StateChange> {
        self.times.remove(camera);
        let rules = self.cameras.remove(camera).unwrap_or_default();
        let deletions = rules.iter().flat_map(|(rule, scope)| {
            scope.values.keys().map(|key| StateChange {
                rule: rule.clone(),
                camera: camera.to_owned(),
                key: key.clone(),
                value: None,
            })
        });
        deletions.collect()
    }

    /// Deletes the values of all rules and cameras for which `is_wanted` says so; it gets key and value. Returns the deletions, to
    /// be published.
    pub fn delete_where(&mut self, is_wanted: impl Fn(&str, &[u8]) -> bool) -> Vec<StateChange> {
        let mut deletions = Vec::new();
        for (camera, rules) in &self.cameras {
            for (rule, scope) in rules {
                let wanted = scope.values.iter().filter(|(key, value)| is_wanted(key, &value.bytes));
                deletions.extend(wanted.map(|(key, _)| StateChange {
                    rule: rule.clone(),
                    camera: camera.clone(),
                    key: key.clone(),
                    value: None,
                }));
            }
        }
        deletions.iter().for_each(|deletion| self.restore(deletion.clone()));
        deletions
    }

    /// Applies a change that was published earliest. Call it in the order of publication.
    pub fn restore(&mut self, change: StateChange) {
        let StateChange { rule, camera, key, value } = change;
        match value {
            Some(value) => {
                let rules = self.cameras.entry(camera).or_default();
                Arc::make_mut(rules.entry(rule).or_default()).set(key, Some(value));
            }
            None => {
                let rules = self.cameras.get_mut(&camera);
                if let Some(scope) = rules.and_then(|rules| rules.get_mut(&rule)) {
                    Arc::make_mut(scope).set(key, None);
                }
            }
        }
    }

    /// Begins a call's transaction on a rule's scope. `limit` is the scope's largest size, bytes; `now` the frame's time.
    pub(super) fn begin(&self, rule: &str, camera: &str, limit: usize, now: i64) -> StateTransaction {
        let before = self.cameras.get(camera).and_then(|rules| rules.get(rule)).cloned().unwrap_or_default();
        StateTransaction { bytes: before.bytes, before, changes: BTreeMap::new(), limit, now, refused: 0 }
    }

    /// Applies the changes of one frame's calls, and deletes values that had expired at the frame before and have expired now.
    /// Returns both kinds of changes, to be published.
    pub(super) fn apply(&mut self, camera: &str, frame: Vec<StateChanges>, now: i64) -> Vec<StateChange> {
        let mut applied = Vec::new();
        let expiry_time = self.times.get(camera).map_or(now, |before| now.min(*before));
        for StateChanges { rule, values } in frame {
            let known = self.cameras.get(camera).and_then(|rules| rules.get(&rule));
            let expiring = known.is_some_and(|scope| scope.first_expiry.is_some_and(|at| at <= expiry_time));
            if values.is_empty() && !expiring {
                continue;
            }
            let mut record = |key: String, value| {
                applied.push(StateChange { rule: rule.clone(), camera: camera.to_owned(), key, value });
            };
            let rules = self.cameras.entry(camera.to_owned()).or_default();
            let scope = Arc::make_mut(rules.entry(rule.clone()).or_default());
            for (key, value) in values {
                if scope.set(key.clone(), value.clone()) {
                    record(key, value);
                }
            }
            if scope.first_expiry.is_some_and(|at| at <= expiry_time) {
                scope.delete_expired(expiry_time).into_iter().for_each(|key| record(key, None));
            }
            if scope.values.is_empty() {
                rules.remove(&rule);
            }
            if rules.is_empty() {
                self.cameras.remove(camera);
            }
        }
        if self.cameras.contains_key(camera) {
            self.times.insert(camera.to_owned(), now);
        } else {
            self.times.remove(camera);
        }
        applied
    }
}

impl StateChanges {
    /// Deletes what the call would store about somebody: the values that name one of the ids, in key or value.
    pub(super) fn delete_named(&mut self, ids: &[String]) {
        for (key, change) in &mut self.values {
            let names = |value: &StateValue| {
                ids.iter().any(|id| is_named_in(id, key.as_bytes()) || is_named_in(id, &value.bytes))
            };
            if change.as_ref().is_some_and(names) {
                *change = None;
            }
        }
    }
}

impl Scope {
    /// Sets or deletes a value. Returns false if that changes nothing.
    fn set(&mut self, key: String, value: Option<StateValue>) -> bool {
        if self.values.get(&key) == value.as_ref() {
            return false;
        }
        let length = key.len();
        let old = match value {
            Some(value) => {
                self.bytes += entry_size(length, &value);
                self.first_expiry = earliest(self.first_expiry, value.expires_at);
                self.values.insert(key, value)
            }
            None => self.values.remove(&key),
        };
        if let Some(old) = old {
            self.bytes -= entry_size(length, &old);
        }
        true
    }

    /// Deletes expired values and returns their keys.
    fn delete_expired(&mut self, now: i64) -> Vec<String> {
        let (mut bytes, mut first, mut expired) = (0, None, Vec::new());
        self.values.retain(|key, value| {
            let kept = !is_expired(value, now);
            if kept {
                bytes += entry_size(key.len(), value);
                first = earliest(first, value.expires_at);
            } else {
                expired.push(key.clone());
            }
            kept
        });
        self.bytes = bytes;
        self.first_expiry = first;
        expired
    }
}

impl StateTransaction {
    /// Size of the scope, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The largest size that the scope may have, bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The frame's time, Unix milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// The value, unless there is none or it has expired.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.entry(key).filter(|value| !is_expired(value, self.now)).map(|value| value.bytes.clone())
    }

    /// Stores a value, for `ttl` milliseconds of frame time if given.
    ///
    /// # Errors
    ///
    /// The key is not valid, or the scope is full. The guest gets the error; the call continues.
    pub(super) fn set(&mut self, key: String, bytes: Vec<u8>, ttl: Option<u64>) -> Result<(), SetError> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(SetError::BadKey);
        }
        let expires_at = ttl.map(|ttl| self.now.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)));
        let value = StateValue { bytes, expires_at };
        let added = entry_size(key.len(), &value);
        if self.bytes_without(&key) + added > self.limit {
            self.delete_expired();
        }
        let others = self.bytes_without(&key);
        if others + added > self.limit {
            self.refused += 1;
            return Err(SetError::Full);
        }
        self.bytes = others + added;
        self.changes.insert(key, Some(value));
        Ok(())
    }

    /// How often a value was refused because the scope was full.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Deletes a value.
    pub(super) fn delete(&mut self, key: &str) {
        if self.entry(key).is_none() {
            return;
        }
        self.bytes = self.bytes_without(key);
        // A deletion is recorded only for a value that existed before the call. Recorded for values of the call itself, deletions
        // would grow without limit: they do not count towards the scope's size.
        if self.before.values.contains_key(key) {
            self.changes.insert(key.to_owned(), None);
        } else {
            self.changes.remove(key);
        }
    }

    /// The keys that begin with `prefix`, in order, without those of expired values.
    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let begins = |key: &&String| key.starts_with(prefix);
        let kept = self
            .before
            .values
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(|(key, _)| begins(key))
            .filter(|(key, value)| !self.changes.contains_key(*key) && !is_expired(value, self.now))
            .map(|(key, _)| key);
        let set = self
            .changes
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(|(key, _)| begins(key))
            .filter(|(_, value)| value.as_ref().is_some_and(|value| !is_expired(value, self.now)))
            .map(|(key, _)| key);
        let mut keys: Vec<String> = kept.chain(set).cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// The call's changes. Drops the reference to the scope, so that [`RuleState::apply`] need not copy it.
    pub(super) fn into_changes(self, rule: &str) -> StateChanges {
        StateChanges { rule: rule.to_owned(), values: self.changes }
    }

    fn entry(&self, key: &str) -> Option<&StateValue> {
        match self.changes.get(key) {
            Some(change) => change.as_ref(),
            None => self.before.values.get(key),
        }
    }

    fn bytes_without(&self, key: &str) -> usize {
        self.bytes - self.entry(key).map_or(0, |value| entry_size(key.len(), value))
    }

    fn delete_expired(&mut self) {
        let expired: Vec<String> = self
            .before
            .values
            .iter()
            .filter(|(key, value)| is_expired(value, self.now) && !self.changes.contains_key(*key))
            .map(|(key, _)| key.clone())
            .chain(
                self.changes
                    .iter()
                    .filter(|(_, value)| value.as_ref().is_some_and(|value| is_expired(value, self.now)))
                    .map(|(key, _)| key.clone()),
            )
            .collect();
        for key in expired {
            self.delete(&key);
        }
    }
}

fn entry_size(key: usize, value: &StateValue) -> usize {
    key + value.bytes.len() + ENTRY_BYTES
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One call that succeeds.
    fn call<T>(
        state: &mut RuleState,
        rule: &str,
        camera: &str,
        now: i64,
        f: impl FnOnce(&mut StateTransaction) -> T,
    ) -> T {
        let mut transaction = state.begin(rule, camera, 1000, now);
        let answer = f(&mut transaction);
        state.apply(camera, vec![transaction.into_changes(rule)], now);
        answer
    }

    fn set(n: &mut StateTransaction, key: &str, value: &str, ttl: Option<u64>) -> Result<(), SetError> {
        n.set(key.into(), value.into(), ttl)
    }

    #[test]
    fn a_value_is_kept_for_its_rule_and_camera_only() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 0, |n| set(n, "k", "v", None)).unwrap();
        assert_eq!(call(&mut state, "a", "gate", 1, |n| n.get("k")), Some(b"v".to_vec()));
        assert_eq!(call(&mut state, "b", "gate", 1, |n| n.get("k")), None);
        assert_eq!(call(&mut state, "a", "door", 1, |n| n.get("k")), None);
    }

    #[test]
    fn changes_that_are_not_applied_are_lost() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 0, |n| set(n, "k", "old", None)).unwrap();
        let mut failed = state.begin("a", "gate", 1000, 1);
        set(&mut failed, "k", "new", None).unwrap();
        set(&mut failed, "other", "new", None).unwrap();
        failed.delete("k");
        assert_eq!(failed.get("k"), None);
        drop(failed);
        assert_eq!(call(&mut state, "a", "gate", 2, |n| (n.get("k"), n.keys(""))), {
            (Some(b"old".to_vec()), vec!["k".to_owned()])
        });
    }

    #[test]
    fn a_value_expires_in_frame_time() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 1000, |n| set(n, "k", "v", Some(500))).unwrap();
        assert!(call(&mut state, "a", "gate", 1499, |n| n.get("k")).is_some());
        // Each camera has its own clock.
        call(&mut state, "a", "door", 9999, |_| ());
        assert_eq!(call(&mut state, "a", "gate", 1499, |n| n.keys("")), ["k"]);
        assert_eq!(call(&mut state, "a", "gate", 1500, |n| (n.get("k"), n.keys(""))), (None, vec![]));
        call(&mut state, "a", "gate", 1501, |_| ());
        assert_eq!((state.bytes(), state.times.len()), (0, 0));
        assert!(state.cameras.is_empty());
    }

    #[test]
    fn one_frame_with_a_wrong_time_loses_nothing() {
        for wrong in [5000, i64::MAX, -5000, i64::MIN] {
            let mut state = RuleState::new();
            call(&mut state, "a", "gate", 1000, |n| set(n, "k", "v", Some(500))).unwrap();
            call(&mut state, "a", "gate", wrong, |_| ());
            assert_eq!(call(&mut state, "a", "gate", 1100, |n| n.keys("")), ["k"]);
            call(&mut state, "a", "gate", 1500, |_| ());
            assert!(state.bytes() > 0);
            call(&mut state, "a", "gate", 1600, |_| ());
            assert_eq!(state.bytes(), 0);
        }
    }

    #[test]
    fn published_changes_restore_the_state() {
        let mut state = RuleState::new();
        let mut published = Vec::new();
        let mut frame = |state: &mut RuleState, now, change: &dyn Fn(&mut StateTransaction)| {
            let mut transaction = state.begin("a", "gate", 1000, now);
            change(&mut transaction);
            published.extend(state.apply("gate", vec![transaction.into_changes("a")], now));
        };
        frame(&mut state, 0, &|n| {
            set(n, "stays", "v", None).unwrap();
            set(n, "expires", "v", Some(5)).unwrap();
            set(n, "deleted", "v", None).unwrap();
        });
        frame(&mut state, 1, &|n| n.delete("deleted"));
        frame(&mut state, 2, &|n| set(n, "stays", "v", None).unwrap());
        frame(&mut state, 5, &|_| ());
        frame(&mut state, 6, &|_| ());
        let changes: Vec<_> =
            published.iter().map(|change| (change.key.as_str(), change.value.is_some())).collect();
        let expected =
            [("deleted", true), ("expires", true), ("stays", true), ("deleted", false), ("expires", false)];
        assert_eq!(changes, expected, "each change once, and no change that has no effect");
        let mut restored = RuleState::new();
        published.into_iter().for_each(|change| restored.restore(change));
        assert_eq!(call(&mut restored, "a", "gate", 6, |n| n.keys("")), ["stays"]);
        assert_eq!(restored.bytes(), state.bytes());
        let deleted = restored.delete_camera("gate");
        assert_eq!((deleted.len(), deleted[0].key.as_str(), restored.bytes()), (1, "stays", 0));
    }

    #[test]
    fn a_full_scope_refuses_and_expired_values_make_room() {
        let mut state = RuleState::new();
        let big = "x".repeat(800);
        call(&mut state, "a", "gate", 0, |n| {
            set(n, "first", &big, Some(10)).unwrap();
            assert_eq!(set(n, "second", &big, None), Err(SetError::Full));
            assert_eq!(n.get("second"), None);
            // Replacing counts the difference only.
            set(n, "first", &big, Some(10)).unwrap();
        });
        assert_eq!(state.bytes(), 800 + 5 + ENTRY_BYTES);
        call(&mut state, "a", "gate", 10, |n| set(n, "second", &big, None)).unwrap();
        assert_eq!(call(&mut state, "a", "gate", 10, |n| n.keys("")), ["second"]);
        assert_eq!(state.bytes(), 800 + 6 + ENTRY_BYTES);
    }

    #[test]
    fn deleting_a_new_value_leaves_no_record() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 0, |n| set(n, "kept", "v", None)).unwrap();
        call(&mut state, "a", "gate", 1, |n| {
            for i in 0..1000 {
                set(n, &i.to_string(), "v", Some(0)).unwrap();
                n.delete(&i.to_string());
            }
            for i in 0..1000 {
                set(n, &i.to_string(), "v", Some(0)).unwrap();
            }
            n.delete("kept");
            assert!(n.changes.len() < 20, "{}", n.changes.len());
        });
        call(&mut state, "a", "gate", 2, |_| ());
        assert_eq!(state.bytes(), 0);
    }

    #[test]
    fn empty_values_count_towards_the_limit() {
        let mut state = RuleState::new();
        let kept = call(&mut state, "a", "gate", 0, |n| {
            (0..1000).filter(|i| set(n, &i.to_string(), "", None).is_ok()).count()
        });
        assert!(kept < 20, "{kept}");
    }

    #[test]
    fn bad_keys_are_refused() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 0, |n| {
            assert_eq!(set(n, "", "v", None), Err(SetError::BadKey));
            assert_eq!(set(n, &"k".repeat(KEY_BYTES + 1), "v", None), Err(SetError::BadKey));
            assert_eq!(set(n, &"k".repeat(KEY_BYTES), "v", None), Ok(()));
        });
    }

    #[test]
    fn keys_are_listed_in_order_with_the_calls_changes() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 0, |n| {
            for key in ["t/2", "t/1", "u/1", "t"] {
                set(n, key, "v", None).unwrap();
            }
        });
        call(&mut state, "a", "gate", 1, |n| {
            n.delete("t/1");
            n.delete("never there");
            set(n, "t/0", "v", None).unwrap();
            set(n, "t/9", "v", Some(0)).unwrap();
            assert_eq!(n.keys("t/"), ["t/0", "t/2"]);
            assert_eq!(n.keys("v"), Vec::<String>::new());
        });
        assert_eq!(call(&mut state, "a", "gate", 2, |n| n.keys("")), ["t", "t/0", "t/2", "u/1"]);
    }

    #[test]
    fn a_ttl_beyond_the_last_time_never_expires() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", i64::MAX - 1, |n| set(n, "k", "v", Some(u64::MAX))).unwrap();
        assert!(call(&mut state, "a", "gate", i64::MAX - 1, |n| n.get("k")).is_some());
    }
}
