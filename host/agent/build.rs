//! Compiles the C files. Each explains why it is C.

fn main() {
    const SOURCES: [&str; 2] = ["src/capture.c", "src/jpeg_encoder.c"];
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-changed=src/ffmpeg_functions.h");
    // FFmpeg's libraries are loaded when they are needed: see ffmpeg_functions.h.
    println!("cargo::rustc-link-lib=jpeg");
    cc::Build::new()
        .files(SOURCES)
        .std("gnu11")
        .opt_level(2)
        .warnings(true)
        .extra_warnings(true)
        .compile("everyframe_capture");
}
