//! Recognises rule state that is about a person.

use everyframe_gallery::ErasureNotice;
use everyframe_types::id::is_named_in;

/// The ids of a person who is erased, to be found in the keys and values that rules keep.
pub(crate) struct Traces(Vec<String>);

impl Traces {
    /// The ids of a notice.
    pub fn new(notice: &ErasureNotice) -> Self {
        Self(std::iter::once(&notice.person).chain(&notice.strangers).cloned().collect())
    }

    /// The ids of the strangers of a notice.
    pub fn of_strangers(notice: &ErasureNotice) -> Self {
        Self(notice.strangers.clone())
    }

    /// True if a key or a value of a rule names one of the ids. Rules choose the format of their values, so an id is found wherever its
    /// bytes are, unless it is a part of a longer word.
    pub fn are_in(&self, key: &str, value: &[u8]) -> bool {
        self.0.iter().any(|id| is_named_in(id, key.as_bytes()) || is_named_in(id, value))
    }

    /// True if this is one of the ids.
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|own| own == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces() -> Traces {
        Traces::new(&ErasureNotice {
            id: "e".into(),
            person: "ann".into(),
            strangers: vec!["s-0f".into()],
            at: 0,
            round: 0,
            is_done: false,
        })
    }

    #[test]
    fn keys_and_values_that_name_the_person_are_found() {
        let traces = traces();
        for (key, value) in [
            ("last/ann", &b""[..]),
            ("ann", b""),
            ("stranger/s-0f", b""),
            ("track/7/100", b"s-0f"),
            ("visits", br#"{"person":"ann","count":3}"#),
            ("x", b"\x03ann\x00\x01"),
        ] {
            assert!(traces.are_in(key, value), "{key}");
        }
    }

    #[test]
    fn other_people_keep_their_state() {
        let traces = traces();
        for (key, value) in [
            ("last/anna", &b"joann"[..]),
            ("stranger/s-0f1", b"channel"),
            ("jann\u{e9}", "ann\u{e9}".as_bytes()),
            ("", b""),
        ] {
            assert!(!traces.are_in(key, value), "{key}");
        }
    }
}
