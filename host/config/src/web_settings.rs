//! `[web]`: the HTTP API and the dashboard.

use crate::callback_settings::{self, CallbackSettings};
use everyframe_types::machine::is_loopback;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[web]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebSettings {
    /// The address of the HTTP API and the dashboard: `127.0.0.1:8080`. Empty: `everyframe run` serves none, and `everyframe serve`
    /// uses `127.0.0.1:8080`. An address that other machines can reach needs at least one token.
    pub listen: String,
    /// How far back sightings, strangers and the ledger go when the process starts, hours. Results that were deleted before are
    /// not there.
    pub history_h: f64,
    /// The people and programs that may use the API. `everyframe token` makes one. Without any, everybody who reaches the address
    /// may do everything, so it must be a loopback address.
    pub tokens: Vec<TokenSettings>,
    /// Certificate and key, for HTTPS. Without them, it is HTTP: use it on this machine only, or behind a proxy.
    pub tls: Option<TlsSettings>,
    /// The programs that may be called back with the results of the frames that they send. Without any, no address is taken.
    pub callbacks: Vec<CallbackSettings>,
}

/// `[web.tls]`: read at the start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate and those of its authorities, PEM. Relative to the folder of the configuration.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self { listen: String::new(), history_h: 8.0, tokens: Vec::new(), tls: None, callbacks: Vec::new() }
    }
}

/// `[[web.tokens]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Who uses it. Acknowledged alerts show this name.
    pub name: String,
    /// What the token allows.
    pub role: Role,
    /// SHA-256 of the token, hexadecimal. The token itself is kept nowhere.
    pub sha256: String,
}

/// What a token allows. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything.
    View,
    /// Change people, identify faces, and acknowledge alerts.
    Enrol,
    /// Do everything: send frames, replay or drop dead letters, run an audit.
    Admin,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::View => "view",
            Self::Enrol => "enrol",
            Self::Admin => "admin",
        })
    }
}

impl WebSettings {
    /// Makes relative paths relative to `folder`.
    pub(super) fn set_folder(&mut self, folder: &Path) {
        if let Some(tls) = &mut self.tls {
            tls.certificate = folder.join(&tls.certificate);
            tls.key = folder.join(&tls.key);
        }
    }

    /// The settings that are wrong: dotted keys and messages.
    pub fn find_problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut add = |key: String, message: String| found.push((key, message));
        if !self.listen.is_empty() {
            match parse_address(&self.listen) {
                None => add(
                    "web.listen".into(),
                    format!("`{}` is not an address; give one such as 127.0.0.1:8080", self.listen),
                ),
                Some(host) if self.tokens.is_empty() && !is_loopback(host) => add(
                    "web.listen".into(),
                    format!(
                        "`{}` can be reached by other machines, and no token is configured: everybody could see and change \
                         everything; add a token (`everyframe token NAME`), or use 127.0.0.1",
                        self.listen
                    ),
                ),
                Some(_) => {}
            }
        }
        // NaN is in no range.
        if !(0.0..=8760.0).contains(&self.history_h) {
            add("web.history_h".into(), format!("must be from 0 to 8760, is {}", self.history_h));
        }
        for (index, token) in self.tokens.iter().enumerate() {
            if everyframe_types::id::parse(&token.name, 64).as_deref() != Ok(&token.name) {
                add(
                    format!("web.tokens[{index}].name"),
                    "must be a name of 1 to 64 bytes without control and invisible characters".into(),
                );
            }
            let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_hash(&token.sha256) {
                add(
                    format!("web.tokens[{index}].sha256"),
                    "is not a SHA-256 (64 hexadecimal digits); `everyframe token NAME` prints the whole table".into(),
                );
            }
        }
        found.extend(callback_settings::find_problems(&self.callbacks));
        found
    }
}

/// The host of `host:port`.
fn parse_address(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(listen: &str, tokens: Vec<TokenSettings>) -> Vec<String> {
        let settings = WebSettings { listen: listen.into(), tokens, ..WebSettings::default() };
        settings.find_problems().into_iter().map(|(key, _)| key).collect()
    }

    fn token(name: &str, sha256: &str) -> TokenSettings {
        TokenSettings { name: name.into(), role: Role::View, sha256: sha256.into() }
    }

    #[test]
    fn only_loopback_needs_no_token() {
        for ours in ["127.0.0.1:0", "localhost:8080", "[::1]:8080", "127.8.0.1:80", ""] {
            assert!(problems(ours, vec![]).is_empty(), "{ours}");
        }
        for others in ["0.0.0.0:80", "[::]:80", "192.168.0.7:80", "everyframe.example:80"] {
            assert_eq!(problems(others, vec![]), ["web.listen"], "{others}");
            assert!(problems(others, vec![token("anna", &"a".repeat(64))]).is_empty(), "{others}");
        }
    }

    #[test]
    fn wrong_addresses_and_tokens_are_named() {
        for wrong in ["8080", ":8080", "127.0.0.1", "127.0.0.1:99999"] {
            assert_eq!(problems(wrong, vec![]), ["web.listen"], "{wrong}");
        }
        let tokens = vec![token("", &"a".repeat(64)), token("anna", "secret")];
        assert_eq!(problems("127.0.0.1:80", tokens), ["web.tokens[0].name", "web.tokens[1].sha256"]);
    }

    #[test]
    fn a_role_includes_those_before_it() {
        assert!(Role::View < Role::Enrol && Role::Enrol < Role::Admin);
    }
}
