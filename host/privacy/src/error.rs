//! What can be wrong with keys and with what they protect.

/// What is wrong with a key, or with what it protects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivacyError {
    /// A key cannot be read from its place. The text names the place, never the key.
    #[error("[privacy] {0}")]
    Secret(String),
    /// Something is encrypted with a key that this process does not have.
    #[error(
        "{what} is encrypted with key {needed}, and {}; add the key to `keys` in [privacy]: without it, nobody can be recognised \
         by what it protects",
        if .have.is_empty() { "no key is configured".to_owned() } else { format!("the configuration has {}", .have.join(", ")) }
    )]
    UnknownKey {
        /// What is encrypted.
        what: String,
        /// The id of its key.
        needed: String,
        /// The ids of the configured keys.
        have: Vec<String>,
    },
    /// The right key does not open it: it was changed, or belongs elsewhere.
    #[error("{0} was changed, or copied from another place: its encryption does not fit")]
    Damaged(String),
    /// The system has no random numbers, or a record has gigabytes.
    #[error("cannot encrypt: the system's cryptography refused it")]
    Cryptography,
}

impl PrivacyError {
    /// True if this process must not go on: with the key, it would know people whom it takes for unknown.
    pub fn is_wrong_key(&self) -> bool {
        matches!(self, Self::UnknownKey { .. } | Self::Secret(_))
    }
}
