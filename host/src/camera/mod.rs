//! The agent: pictures of a source, into the frames topic.
