//! A component's bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    everyframe_fuzz::component(bytes);
});
