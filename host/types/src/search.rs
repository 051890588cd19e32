//! How a frame was searched for faces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a frame was searched for faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SearchKind {
    /// The whole picture, at full scale.
    #[default]
    Full,
    /// The parts that changed, at full scale. Faces elsewhere are those of the last full search.
    Partial,
    /// The parts that changed, the large ones at a reduced scale. Faces elsewhere are those of the last full search.
    Coarse,
    /// Nothing changed: the faces are those of the last full search.
    Reused,
}

impl SearchKind {
    /// The name in events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Coarse => "coarse",
            Self::Reused => "reused",
        }
    }
}
