//! A configuration, or a rule's settings.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    everyframe_fuzz::settings(bytes);
});
