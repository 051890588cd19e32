//! Removes user names, passwords and keys from addresses before they are displayed or logged.
//!
//! In doubt it hides more: a value that is hidden needlessly can be found in the configuration, but a leaked password gives access
//! to the camera.

/// Replaces a secret.
const HIDDEN: &str = "***";

/// A parameter is secret if its name contains one of these parts, as in `password`, `loginpas`, `apikey` or `access_token`.
const SECRET_NAMES: [&str; 20] = [
    "pas", "pwd", "pw", "psw", "secret", "token", "key", "auth", "sig", "cred", "user", "usr", "login",
    "session", "sid", "uid", "pin", "jwt", "bearer", "hash",
];

/// A value of at least this many bytes is hidden whatever its name: it is more likely a key than a setting.
const LONG_VALUE_BYTES: usize = 16;

/// Shorter secrets are not searched for in other texts, bytes: too many words would contain them.
const MIN_SECRET_BYTES: usize = 4;

/// An address in three parts.
struct Parts<'a> {
    /// `rtsp://`, or nothing.
    scheme: &'a str,
    /// `user:password`, without the `@` behind it.
    user: Option<&'a str>,
    /// Host, port, path and parameters.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn parse(address: &'a str) -> Self {
        // A `:` or `@` before `://` belongs to a user, and then `://` is a part of the password.
        let scheme_end = address.find("://").filter(|at| !address[..*at].contains([':', '@']));
        let (scheme, rest) = address.split_at(scheme_end.map_or(0, |at| at + 3));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // A password may contain unencoded `/`, `?`, `#` or `@`, so the last `@` counts.
        let user = rest.rfind('@').map(|at| (&rest[..at], &rest[at + 1..])).filter(|(user, _)| {
            // Without a scheme, `me@home.mp4` is more likely a file than a user.
            if scheme.is_empty() { user.contains(':') } else { authority.contains(['@', ':']) }
        });
        match user {
            Some((user, rest)) => Self { scheme, user: Some(user), rest },
            None => Self { scheme, user: None, rest },
        }
    }

    /// The pieces between the delimiters, each with the delimiter before it: `(Some('?'), "channel=1")`.
    fn pieces(&self) -> impl Iterator<Item = (Option<char>, &'a str)> {
        let mut rest = Some(self.rest);
        let mut delimiter = None;
        std::iter::from_fn(move || {
            let text = rest?;
            let before = delimiter;
            match text.find(['/', '?', '#', '&', ';']) {
                Some(at) => {
                    // Each delimiter is one byte.
                    delimiter = text[at..].chars().next();
                    rest = Some(&text[at + 1..]);
                    Some((before, &text[..at]))
                }
                None => {
                    rest = None;
                    Some((before, text))
                }
            }
        })
    }
}

/// Removes the user, the password and secret parameters from an address: `rtsp://***@10.0.0.7/stream?channel=1&password=***`.
pub fn redact_address(address: &str) -> String {
    let parts = Parts::parse(address);
    let mut shown = parts.scheme.to_owned();
    if parts.user.is_some() {
        shown += HIDDEN;
        shown.push('@');
    }
    let mut is_hiding = false;
    for (delimiter, piece) in parts.pieces() {
        let named = piece.split_once('=');
        // A piece without a name after a secret is the rest of that secret, which contained a delimiter.
        if named.is_none() && is_hiding {
            continue;
        }
        shown.extend(delimiter);
        match named {
            Some((name, value)) => {
                is_hiding = is_secret(name, value);
                shown += name;
                shown.push('=');
                shown += if is_hiding && !value.is_empty() { HIDDEN } else { value };
            }
            None => shown += piece,
        }
    }
    shown
}

/// Redacts each address in a text.
pub fn redact_addresses(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ')' | ',');
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(ends) {
        let (word, end) = match word.char_indices().next_back() {
            Some((at, last)) if ends(last) => word.split_at(at),
            _ => (word, ""),
        };
        if word.contains("://") {
            shown += &redact_address(word)
        } else {
            shown += word
        }
        shown += end;
    }
    shown
}

/// Finds the secrets in an address, as written and percent-decoded, so that they can be removed from other texts.
pub fn find_secrets(address: &str) -> Vec<String> {
    let parts = Parts::parse(address);
    let mut found: Vec<&str> = Vec::new();
    if let Some(user) = parts.user {
        found.push(user);
        found.extend(user.split_once(':').map(|(_, password)| password));
    }
    let named = parts.pieces().filter_map(|(_, piece)| piece.split_once('='));
    found.extend(named.filter(|(name, value)| is_secret(name, value)).map(|(_, value)| value));
    let mut secrets: Vec<String> = found.iter().map(|secret| (*secret).to_owned()).collect();
    secrets.extend(found.iter().map(|secret| percent_decoded(secret)));
    secrets.retain(|secret| secret.len() >= MIN_SECRET_BYTES);
    secrets
}

fn is_secret(name: &str, value: &str) -> bool {
    let name = percent_decoded(name).to_lowercase();
    value.len() >= LONG_VALUE_BYTES || SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Decodes percent-encoding (`%41`); invalid UTF-8 becomes U+FFFD.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn user_and_password_are_hidden() {
        for (address, shown) in [
            ("rtsp://admin:hunter2@10.0.0.7:554/stream", "rtsp://***@10.0.0.7:554/stream"),
            ("rtsp://admin@10.0.0.7/stream", "rtsp://***@10.0.0.7/stream"),
            ("http://admin:hunt%40er%2f2@cam/v", "http://***@cam/v"),
            ("http://admin:hunt@er2@cam/v", "http://***@cam/v"),
            ("http://admin:hun/ter2@cam/v", "http://***@cam/v"),
            ("http://admin:hun?ter#2@cam/v", "http://***@cam/v"),
            ("rtsp://ad\u{fc}min:h\u{fc}nter2@cam/v", "rtsp://***@cam/v"),
            // Mistyped: the scheme is missing or broken.
            ("admin:hunter2@10.0.0.7/stream", "***@10.0.0.7/stream"),
            ("rtsp:/admin:hunter2@10.0.0.7/stream", "***@10.0.0.7/stream"),
            ("admin:hunt://er2@10.0.0.7/stream", "***@10.0.0.7/stream"),
            ("rtsp:/admin:hunt://er2@10.0.0.7/stream", "***@10.0.0.7/stream"),
        ] {
            assert_eq!(redact_address(address), shown, "{address}");
        }
    }

    #[test]
    fn secret_parameters_are_hidden_and_others_shown() {
        for (address, shown) in [
            (
                "http://cam/v?channel=1&password=hunter2&subtype=0",
                "http://cam/v?channel=1&password=***&subtype=0",
            ),
            ("http://cam/v?pwd=hunter2", "http://cam/v?pwd=***"),
            ("http://cam/v?TOKEN=hunter2#t=1", "http://cam/v?TOKEN=***#t=1"),
            ("http://cam/v?loginuse=admin&loginpas=hunter2", "http://cam/v?loginuse=***&loginpas=***"),
            ("http://cam/v?p%61ssword=hunter2", "http://cam/v?p%61ssword=***"),
            ("http://cam/v?password=hun/ter2?x#y&channel=1", "http://cam/v?password=***&channel=1"),
            ("http://cam/v?password=", "http://cam/v?password="),
            ("http://cam/v?x=0123456789abcdef", "http://cam/v?x=***"),
            (
                "rtsp://cam:554/user=admin&password=hunter2&channel=1&stream=0.sdp?",
                "rtsp://cam:554/user=***&password=***&channel=1&stream=0.sdp?",
            ),
            ("rtsp://cam/user=admin_password=hunter2_channel=1.sdp", "rtsp://cam/user=***"),
        ] {
            assert_eq!(redact_address(address), shown, "{address}");
        }
    }

    #[test]
    fn an_address_without_secrets_is_shown_as_it_is() {
        for address in [
            "rtsp://10.0.0.7/stream",
            "http://[::1]:8080/v.mp4?channel=1",
            "clip.mp4",
            "/data/me@home.mp4",
            "0",
            "",
        ] {
            assert_eq!(redact_address(address), address);
        }
    }

    #[test]
    fn addresses_in_a_text_are_redacted() {
        let text =
            "[http @ 0x1] Opening 'http://a:hunter2@cam/v?token=x1' for reading, then rtsp://b:hunter2@cam";
        let shown = "[http @ 0x1] Opening 'http://***@cam/v?token=***' for reading, then rtsp://***@cam";
        assert_eq!(redact_addresses(text), shown);
        assert_eq!(redact_addresses("no address: a@b, c=d"), "no address: a@b, c=d");
    }

    #[test]
    fn secrets_are_found_encoded_and_decoded() {
        let secrets = find_secrets("http://admin:hunt%40er2@cam/v?token=abcd&channel=1");
        assert_eq!(secrets, ["admin:hunt%40er2", "hunt%40er2", "abcd", "admin:hunt@er2", "hunt@er2", "abcd"]);
        assert!(find_secrets("http://a:b@cam/v").is_empty(), "too short to be searched for");
    }

    proptest! {
        #[test]
        fn a_password_never_shows(
            user in "[a-z]{1,8}",
            password in "[^\\s]{0,12}",
            host in "[a-z]{3,8}",
            port in prop::option::of(1u16..),
            path in "[a-z]{0,6}",
        ) {
            // A mark that nothing else of the address holds.
            let password = format!("QQ7{password}QQ7");
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            for address in [
                format!("rtsp://{user}:{password}@{host}{port}/{path}"),
                format!("{user}:{password}@{host}{port}/{path}"),
                format!("http://{host}{port}/{path}?channel=1&password={}", password.replace(['&', ';', '=', '@'], "")),
            ] {
                let shown = redact_address(&address);
                prop_assert!(!shown.contains("QQ7"), "{} shows as {}", address, shown);
                prop_assert!(shown.contains(&host), "{}", shown);
                if address.contains("://") && !address.contains(['"', '\'', '`', '<', '>', '(', ')', ',']) {
                    let text = redact_addresses(&format!("see {address} there"));
                    prop_assert!(!text.contains("QQ7"), "{}", text);
                }
            }
        }
    }
}
