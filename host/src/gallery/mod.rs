//! The enrolled people: the compacted topic, and the index made from it.
