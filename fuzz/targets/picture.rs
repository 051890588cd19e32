//! A frame's picture.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    everyframe_fuzz::picture(bytes);
});
