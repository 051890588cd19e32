//! Ids of cameras, sessions, people, zones and strangers: one definition of a valid id for all inputs.
//!
//! An id is 1 to [`MAX_BYTES`] bytes of UTF-8 in normalisation form NFC, without white space at its ends and without
//! [forbidden](is_forbidden) characters, and not `.` or `..`. [`clean`] makes any text of a record a valid id and never fails: no
//! frame is lost because of its key. [`parse`] normalises and checks the input of people and the results of rules, and returns what is wrong.

use crate::hexadecimal::hexadecimal;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// The longest id, bytes. Three of them and their separators fit into an alert's deduplication key, and one with a
/// prefix into a key of rule state (256 bytes).
pub const MAX_BYTES: usize = 128;

/// The longest id of a stranger, bytes: a rule may build it from the camera's id, a time and a number.
pub const MAX_STRANGER_BYTES: usize = 200;

/// The longest display name, bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// Replaces a forbidden character.
const REPLACEMENT: char = '\u{fffd}';
/// Bytes of the hash at the end of an id that was cut.
const HASH_BYTES: usize = 6;

/// Why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty or white space.
    #[error("is empty")]
    Empty,
    /// The text is too long.
    #[error("has {bytes} bytes; the limit is {limit}")]
    TooLong {
        /// The id's length, bytes.
        bytes: usize,
        /// The longest allowed length, bytes.
        limit: usize,
    },
    /// The text means a folder in an address.
    #[error("is `.` or `..`, which browsers take out of addresses")]
    Folder,
    /// The text has a forbidden character.
    #[error("has control characters or invisible ones: U+{0:04X}")]
    Forbidden(u32),
}

/// True for a character that no id may have: it controls a terminal or the direction of text, is invisible, or is not a
/// character. These are Unicode's categories Cc, Cf, Zl, Zp and Co, and the noncharacters.
///
/// Unassigned characters are allowed: the set must not change with the version of Unicode, or a camera's id would.
pub fn is_forbidden(c: char) -> bool {
    c.is_control() || is_format(c) || matches!(c, '\u{2028}' | '\u{2029}') || is_private(c)
}

/// Category Cf, of Unicode 17.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// Private use, and noncharacters.
fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{f0000}'..)
        || u32::from(c) & 0xfffe == 0xfffe
}

/// True for a text that means a folder in an address: a browser cannot open the page of such a camera or person.
fn is_folder(text: &str) -> bool {
    matches!(text, "." | "..")
}

/// Makes any text a valid id: normalises and trims it, replaces forbidden characters, `.` and `..` by U+FFFD, and cuts it to
/// [`MAX_BYTES`]. A hash at the end of a cut id keeps different long texts different. The result is empty only for white space. A
/// valid id is not changed.
pub fn clean(text: &str) -> String {
    let text: String = text.trim().chars().map(|c| if is_forbidden(c) { REPLACEMENT } else { c }).collect();
    let text = normalise(&text);
    if is_folder(&text) {
        return text.chars().map(|_| REPLACEMENT).collect();
    }
    if text.len() <= MAX_BYTES {
        return text.into_owned();
    }
    let hash = hexadecimal(&Sha256::digest(text.as_bytes())[..HASH_BYTES]);
    let end = text.floor_char_boundary(MAX_BYTES - 1 - hash.len());
    format!("{}~{hash}", &text[..end])
}

/// Normalises, trims and checks an id from a person or a rule. It may have at most `limit` bytes.
///
/// # Errors
///
/// The id is empty, too long, `.` or `..`, or has a forbidden character: show the error, and ask for another id.
pub fn parse(text: &str, limit: usize) -> Result<String, InvalidId> {
    // Only white space that is not a control character is trimmed: nobody types a line break by mistake.
    let text = normalise(text.trim_matches(|c: char| c.is_whitespace() && !is_forbidden(c)));
    match text.chars().find(|c| is_forbidden(*c)) {
        Some(c) => Err(InvalidId::Forbidden(c.into())),
        None if text.is_empty() => Err(InvalidId::Empty),
        None if is_folder(&text) => Err(InvalidId::Folder),
        None if text.len() > limit => Err(InvalidId::TooLong { bytes: text.len(), limit }),
        None => Ok(text.into_owned()),
    }
}

/// Normalises a pattern of ids (`*` for any characters, `?` for one). A pattern without wildcards is an id.
pub fn clean_pattern(pattern: &str) -> String {
    if pattern.contains(['*', '?']) { normalise(pattern.trim()).into_owned() } else { clean(pattern) }
}

/// Makes any text a display name: normalised, trimmed, printable, and cut to [`MAX_NAME_BYTES`].
pub fn clean_name(name: &str) -> String {
    let mut name = normalise(&printable(name.trim())).into_owned();
    if name.len() > MAX_NAME_BYTES {
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES - '…'.len_utf8()));
        name.push('…');
    }
    name
}

/// Normalises, trims and checks a display name from a person.
///
/// # Errors
///
/// The name is empty, too long, or has a character that cannot be displayed: show the error, and ask for another name.
pub fn parse_name(text: &str) -> Result<String, InvalidId> {
    let name = normalise(text.trim());
    match name.chars().find(|c| is_forbidden(*c) && !is_joiner(*c)) {
        Some(c) => Err(InvalidId::Forbidden(c.into())),
        None if name.is_empty() => Err(InvalidId::Empty),
        None if name.len() > MAX_NAME_BYTES => {
            Err(InvalidId::TooLong { bytes: name.len(), limit: MAX_NAME_BYTES })
        }
        None => Ok(name.into_owned()),
    }
}

/// Converts text to normalisation form NFC, in which `é` is always one character.
pub fn normalise(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// Reduces an id to its visible form. Two ids look alike if their skeletons are equal: they differ only in case, in the width or
/// style of letters, in kinds of white space, or in invisible characters.
pub fn skeleton(id: &str) -> String {
    let is_unseen = |c: &char| {
        matches!(c, '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}')
    };
    let seen: String =
        id.nfkc().filter(|c| !is_unseen(c) && !is_format(*c)).flat_map(char::to_lowercase).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// True for the joiners that Persian and Indic words and some emoji need. Ids must not have them; other text may.
pub fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// True if `text` names an id: its bytes are there, and are not a part of a longer word. For text of any format, such as the state
/// of rules.
pub fn is_named_in(id: &str, text: &[u8]) -> bool {
    let id = id.as_bytes();
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    !id.is_empty()
        && text.windows(id.len()).enumerate().any(|(place, window)| {
            let before = place.checked_sub(1).and_then(|place| text.get(place));
            window == id && !is_part(before) && !is_part(text.get(place + id.len()))
        })
}

/// Makes text safe to display: it cannot control a terminal or reverse the direction of text.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_forbidden(c) && !is_joiner(c) { REPLACEMENT } else { c }).collect()
}

/// Makes JSON safe to display, in one line and with the same meaning: forbidden characters are escaped.
pub fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // These occur only between JSON values; inside a string they are escaped already.
            '\n' | '\r' | '\t' => shown.push(' '),
            c if is_forbidden(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown += &format!("\\u{unit:04x}"))
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn forbidden_characters_are_replaced_or_refused() {
        for c in [
            '\0',
            '\x1b',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{e000}',
            '\u{fdd0}',
            '\u{feff}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{1fffe}',
            '\u{e0001}',
            '\u{f0000}',
            '\u{10ffff}',
        ] {
            assert_eq!(clean(&format!("a{c}b")), "a\u{fffd}b", "U+{:04X}", u32::from(c));
            assert_eq!(parse(&format!("a{c}b"), 100), Err(InvalidId::Forbidden(c.into())));
        }
        for folder in [".", "..", " .. "] {
            assert_eq!(parse(folder, 100), Err(InvalidId::Folder));
            assert_eq!(clean(folder), "\u{fffd}".repeat(folder.trim().len()));
        }
        for id in ["gate 1", "...", ".a", "門-2", "Größe", "👍🏽", "a\u{fffd}b", "a/b", "\u{378}"] {
            assert_eq!((clean(id).as_str(), parse(id, 100).as_deref()), (id, Ok(id)));
        }
    }

    #[test]
    fn an_id_has_one_form_however_it_was_typed() {
        for typed in ["Jos\u{e9}", "Jose\u{301}", " Jos\u{e9} ", "\u{3000}Jose\u{301}\u{a0}"] {
            assert_eq!(clean(typed), "Jos\u{e9}");
            assert_eq!(parse(typed, 100).as_deref(), Ok("Jos\u{e9}"));
            assert_eq!(clean_pattern(typed), "Jos\u{e9}");
            assert_eq!(clean_name(typed), "Jos\u{e9}");
        }
        assert_eq!(clean_pattern("Jose\u{301}-*"), "Jos\u{e9}-*");
    }

    #[test]
    fn long_ids_are_cut_and_stay_different() {
        let long = |end: &str| clean(&("門".repeat(200) + end));
        let ids: HashSet<String> = ["", "1", "2", "e\u{301}"].into_iter().map(long).collect();
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| id.len() <= MAX_BYTES && id.starts_with("門門門")), "{ids:?}");
        assert_eq!(long("e\u{301}"), long("\u{e9}"));
        assert_eq!(clean(&"x".repeat(MAX_BYTES)), "x".repeat(MAX_BYTES));
        assert_eq!(parse(&"x".repeat(9), 8), Err(InvalidId::TooLong { bytes: 9, limit: 8 }));
        assert_eq!(parse(" \u{3000}", 8), Err(InvalidId::Empty));
        assert_eq!((parse("a\n", 8), clean("a\n").as_str()), (Err(InvalidId::Forbidden(10)), "a"));
    }

    #[test]
    fn ids_that_look_alike_have_one_skeleton() {
        for alike in ["Ann Lee", "ann lee", "ann\u{a0}lee", "ann  lee", "\u{ff21}nn lee", "ann\u{fe0f} lee"] {
            assert_eq!(skeleton(alike), "ann lee");
        }
        assert_ne!(skeleton("ann"), skeleton("anna"));
    }

    #[test]
    fn displayed_text_cannot_control_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
        let json = serde_json::json!({ "a": "\u{9b}2J\u{202e}\u{e0001}é\n" });
        let shown = printable_json(&serde_json::to_string_pretty(&json).unwrap());
        assert!(!shown.contains(is_forbidden), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
    }

    proptest! {
        #[test]
        fn any_cleaned_text_is_a_valid_id(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in "\\PC*|.*", odd in any::<Vec<char>>()) {
            for text in [String::from_utf8_lossy(&bytes).into_owned(), text, odd.into_iter().collect()] {
                let id = clean(&text);
                prop_assert_eq!(&clean(&id), &id);
                if !text.trim().is_empty() {
                    prop_assert_eq!(parse(&id, MAX_BYTES), Ok(id));
                }
            }
        }
    }
}
