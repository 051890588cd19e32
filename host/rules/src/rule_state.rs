//! What rules remember from frame to frame.
//!
//! One scope for each rule and camera. A call works on a [`StateTransaction`]: the scope as it was, and the
//! changes of this call on top. The changes of all rules of a frame are applied together once the whole
//! frame went well, so a frame that is parked, or processed again, finds what the first try found. What was
//! applied is told, to be published with the frame; what was published is restored where the lane begins anew.
//!
//! Time is the frame's: a value expires when a frame of its camera is as late as its expiry. It is dropped only when two
//! frames in a row are, so that one frame with a wrong time loses nothing.

use everyframe_types::judgement::{StateChange, StateValue};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What an entry costs besides its key and value: without it, a million empty values would be free.
const ENTRY_BYTES: usize = 64;

/// The longest key, bytes.
const KEY_BYTES: usize = 256;

/// The state of all rules for the cameras of one lane.
///
/// Frames of one camera must be judged in their order and with the same memory.
#[derive(Debug, Default)]
pub struct RuleState {
    cameras: HashMap<String, HashMap<String, Arc<Scope>>>,
    /// By camera, the time of its last frame, Unix milliseconds; only of cameras with values.
    times: HashMap<String, i64>,
}

/// One rule's values for one camera.
#[derive(Debug, Default, Clone)]
struct Scope {
    values: BTreeMap<String, StateValue>,
    /// Of all values, also of those whose time is over but which are still here.
    bytes: usize,
    /// No value expires before this.
    first_expiry: Option<i64>,
}

fn is_over(value: &StateValue, now: i64) -> bool {
    value.expires_at.is_some_and(|at| at <= now)
}

/// Why a value was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The scope's bytes are used up.
    Full,
    /// The key is empty or too long.
    BadKey,
}

/// A scope under the changes of one call.
#[derive(Debug, Default)]
pub(super) struct StateTransaction {
    before: Arc<Scope>,
    changes: BTreeMap<String, Option<StateValue>>,
    bytes: usize,
    limit: usize,
    now: i64,
    refused: u64,
}

/// What one call changed. Applied by [`RuleState::apply`].
#[derive(Debug)]
pub(super) struct Changes {
    rule: String,
    values: BTreeMap<String, Option<StateValue>>,
}

impl RuleState {
    /// Nothing remembered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes remembered, over all rules and cameras.
    pub fn bytes(&self) -> usize {
        self.cameras.values().flat_map(HashMap::values).map(|scope| scope.bytes).sum()
    }

    /// Forgets everything about a camera; tells what that was.
    pub fn forget(&mut self, camera: &str) -> Vec<StateChange> {
        self.times.remove(camera);
        let rules = self.cameras.remove(camera).unwrap_or_default();
        let gone = rules.iter().flat_map(|(rule, scope)| {
            scope.values.keys().map(|key| StateChange {
                rule: rule.clone(),
                camera: camera.to_owned(),
                key: key.clone(),
                value: None,
            })
        });
        gone.collect()
    }

    /// Makes a change that was published before; changes come in the order in which they were made.
    pub fn restore(&mut self, change: StateChange) {
        let StateChange { rule, camera, key, value } = change;
        match value {
            Some(value) => {
                let rules = self.cameras.entry(camera).or_default();
                Arc::make_mut(rules.entry(rule).or_default()).put(key, Some(value));
            }
            None => {
                let rules = self.cameras.get_mut(&camera);
                if let Some(scope) = rules.and_then(|rules| rules.get_mut(&rule)) {
                    Arc::make_mut(scope).put(key, None);
                }
            }
        }
    }

    /// Opens a rule's scope for one call; `limit` in bytes, `now` is the frame's time.
    pub(super) fn open(&self, rule: &str, camera: &str, limit: usize, now: i64) -> StateTransaction {
        let before = self.cameras.get(camera).and_then(|rules| rules.get(rule)).cloned().unwrap_or_default();
        StateTransaction { bytes: before.bytes, before, changes: BTreeMap::new(), limit, now, refused: 0 }
    }

    /// Keeps what the calls of one frame changed, and drops values that have expired both now and at the frame before. Returns
    /// both kinds of changes.
    pub(super) fn apply(&mut self, camera: &str, frame: Vec<Changes>, now: i64) -> Vec<StateChange> {
        let mut made = Vec::new();
        let settled = self.times.get(camera).map_or(now, |before| now.min(*before));
        for Changes { rule, values } in frame {
            let known = self.cameras.get(camera).and_then(|rules| rules.get(&rule));
            let expiring = known.is_some_and(|scope| scope.first_expiry.is_some_and(|at| at <= settled));
            if values.is_empty() && !expiring {
                continue;
            }
            let mut tell = |key: String, value| {
                made.push(StateChange { rule: rule.clone(), camera: camera.to_owned(), key, value });
            };
            let rules = self.cameras.entry(camera.to_owned()).or_default();
            let scope = Arc::make_mut(rules.entry(rule.clone()).or_default());
            for (key, value) in values {
                if scope.put(key.clone(), value.clone()) {
                    tell(key, value);
                }
            }
            if scope.first_expiry.is_some_and(|at| at <= settled) {
                scope.drop_expired(settled).into_iter().for_each(|key| tell(key, None));
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
        made
    }
}

impl Scope {
    /// False if that changes nothing.
    fn put(&mut self, key: String, value: Option<StateValue>) -> bool {
        if self.values.get(&key) == value.as_ref() {
            return false;
        }
        let length = key.len();
        let old = match value {
            Some(value) => {
                self.bytes += cost(length, &value);
                self.first_expiry = earlier(self.first_expiry, value.expires_at);
                self.values.insert(key, value)
            }
            None => self.values.remove(&key),
        };
        if let Some(old) = old {
            self.bytes -= cost(length, &old);
        }
        true
    }

    /// Drops what is over; tells its keys.
    fn drop_expired(&mut self, now: i64) -> Vec<String> {
        let (mut bytes, mut first, mut gone) = (0, None, Vec::new());
        self.values.retain(|key, value| {
            let kept = !is_over(value, now);
            if kept {
                bytes += cost(key.len(), value);
                first = earlier(first, value.expires_at);
            } else {
                gone.push(key.clone());
            }
            kept
        });
        self.bytes = bytes;
        self.first_expiry = first;
        gone
    }
}

impl StateTransaction {
    /// Bytes that the scope has.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that the scope may have.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The value, unless there is none or its time is over.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.entry(key).filter(|value| !is_over(value, self.now)).map(|value| value.bytes.clone())
    }

    /// Keeps a value, for `ttl` milliseconds of frame time if given.
    pub(super) fn set(&mut self, key: String, bytes: Vec<u8>, ttl: Option<u64>) -> Result<(), Refused> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(Refused::BadKey);
        }
        let expires_at = ttl.map(|ttl| self.now.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)));
        let value = StateValue { bytes, expires_at };
        let added = cost(key.len(), &value);
        if self.bytes_without(&key) + added > self.limit {
            self.drop_expired();
        }
        let others = self.bytes_without(&key);
        if others + added > self.limit {
            self.refused += 1;
            return Err(Refused::Full);
        }
        self.bytes = others + added;
        self.changes.insert(key, Some(value));
        Ok(())
    }

    /// Values that were refused because the scope is full.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Forgets a value.
    pub(super) fn delete(&mut self, key: &str) {
        if self.entry(key).is_none() {
            return;
        }
        self.bytes = self.bytes_without(key);
        // A note is needed only of what was there before. Of what this call set itself, notes would grow without
        // limit: they are no bytes of the scope's.
        if self.before.values.contains_key(key) {
            self.changes.insert(key.to_owned(), None);
        } else {
            self.changes.remove(key);
        }
    }

    /// The keys of living values that begin with `prefix`, in order.
    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let begins = |key: &&String| key.starts_with(prefix);
        let kept = self
            .before
            .values
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(|(key, _)| begins(key))
            .filter(|(key, value)| !self.changes.contains_key(*key) && !is_over(value, self.now))
            .map(|(key, _)| key);
        let set = self
            .changes
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(|(key, _)| begins(key))
            .filter(|(_, value)| value.as_ref().is_some_and(|value| !is_over(value, self.now)))
            .map(|(key, _)| key);
        let mut keys: Vec<String> = kept.chain(set).cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// What was changed. Lets go of the scope as it was, so that applying need not copy it.
    pub(super) fn close(self, rule: &str) -> Changes {
        Changes { rule: rule.to_owned(), values: self.changes }
    }

    fn entry(&self, key: &str) -> Option<&StateValue> {
        match self.changes.get(key) {
            Some(change) => change.as_ref(),
            None => self.before.values.get(key),
        }
    }

    fn bytes_without(&self, key: &str) -> usize {
        self.bytes - self.entry(key).map_or(0, |value| cost(key.len(), value))
    }

    fn drop_expired(&mut self) {
        let over: Vec<String> = self
            .before
            .values
            .iter()
            .filter(|(key, value)| is_over(value, self.now) && !self.changes.contains_key(*key))
            .map(|(key, _)| key.clone())
            .chain(
                self.changes
                    .iter()
                    .filter(|(_, value)| value.as_ref().is_some_and(|value| is_over(value, self.now)))
                    .map(|(key, _)| key.clone()),
            )
            .collect();
        for key in over {
            self.delete(&key);
        }
    }
}

fn cost(key: usize, value: &StateValue) -> usize {
    key + value.bytes.len() + ENTRY_BYTES
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One call that ends well.
    fn call<T>(
        state: &mut RuleState,
        rule: &str,
        camera: &str,
        now: i64,
        f: impl FnOnce(&mut StateTransaction) -> T,
    ) -> T {
        let mut state_transaction = state.open(rule, camera, 1000, now);
        let answer = f(&mut state_transaction);
        state.apply(camera, vec![state_transaction.close(rule)], now);
        answer
    }

    fn set(n: &mut StateTransaction, key: &str, value: &str, ttl: Option<u64>) -> Result<(), Refused> {
        n.set(key.into(), value.into(), ttl)
    }

    #[test]
    fn a_value_lasts_to_the_next_frame_of_its_rule_and_camera_only() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 0, |n| set(n, "k", "v", None)).unwrap();
        assert_eq!(call(&mut state, "a", "gate", 1, |n| n.get("k")), Some(b"v".to_vec()));
        assert_eq!(call(&mut state, "b", "gate", 1, |n| n.get("k")), None);
        assert_eq!(call(&mut state, "a", "door", 1, |n| n.get("k")), None);
    }

    #[test]
    fn changes_of_a_call_that_is_not_applied_are_gone() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 0, |n| set(n, "k", "old", None)).unwrap();
        let mut failed = state.open("a", "gate", 1000, 1);
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
    fn a_value_ends_with_its_time_in_frame_time() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", 1000, |n| set(n, "k", "v", Some(500))).unwrap();
        assert!(call(&mut state, "a", "gate", 1499, |n| n.get("k")).is_some());
        // Other cameras have clocks of their own.
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
    fn what_was_published_restores_what_was_remembered() {
        let mut state = RuleState::new();
        let mut published = Vec::new();
        let mut frame = |state: &mut RuleState, now, changes: &dyn Fn(&mut StateTransaction)| {
            let mut state_transaction = state.open("a", "gate", 1000, now);
            changes(&mut state_transaction);
            published.extend(state.apply("gate", vec![state_transaction.close("a")], now));
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
        let told: Vec<_> =
            published.iter().map(|change| (change.key.as_str(), change.value.is_some())).collect();
        let expected =
            [("deleted", true), ("expires", true), ("stays", true), ("deleted", false), ("expires", false)];
        assert_eq!(told, expected, "each change once, and what changes nothing not at all");
        let mut restored = RuleState::new();
        published.into_iter().for_each(|change| restored.restore(change));
        assert_eq!(call(&mut restored, "a", "gate", 6, |n| n.keys("")), ["stays"]);
        assert_eq!(restored.bytes(), state.bytes());
        let forgotten = restored.forget("gate");
        assert_eq!((forgotten.len(), forgotten[0].key.as_str(), restored.bytes()), (1, "stays", 0));
    }

    #[test]
    fn a_full_scope_refuses_and_expired_values_make_room() {
        let mut state = RuleState::new();
        let big = "x".repeat(800);
        call(&mut state, "a", "gate", 0, |n| {
            set(n, "first", &big, Some(10)).unwrap();
            assert_eq!(set(n, "second", &big, None), Err(Refused::Full));
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
    fn what_a_call_set_and_deleted_leaves_no_note() {
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
    fn empty_values_are_not_free() {
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
            assert_eq!(set(n, "", "v", None), Err(Refused::BadKey));
            assert_eq!(set(n, &"k".repeat(KEY_BYTES + 1), "v", None), Err(Refused::BadKey));
            assert_eq!(set(n, &"k".repeat(KEY_BYTES), "v", None), Ok(()));
        });
    }

    #[test]
    fn keys_are_listed_by_prefix_in_order_with_this_calls_changes() {
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
    fn a_ttl_beyond_all_time_is_for_ever() {
        let mut state = RuleState::new();
        call(&mut state, "a", "gate", i64::MAX - 1, |n| set(n, "k", "v", Some(u64::MAX))).unwrap();
        assert!(call(&mut state, "a", "gate", i64::MAX - 1, |n| n.get("k")).is_some());
    }
}
