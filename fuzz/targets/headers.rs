//! Keys and headers of records.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    everyframe_fuzz::headers(bytes);
});
