//! The text of a panic that was caught.

use std::any::Any;

/// The message of a panic; empty if it has none.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_kept() {
        let text = |panic: fn()| panic_text(&*std::panic::catch_unwind(panic).unwrap_err());
        assert_eq!(text(|| panic!("plain")), "plain");
        assert_eq!(text(|| panic!("with a number: {}", 7)), "with a number: 7");
        assert_eq!(text(|| std::panic::panic_any(7)), "");
    }
}
