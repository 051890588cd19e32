//! From an encoded picture to embedded faces.
