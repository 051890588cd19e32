//! Compiles the only C file. `src/capture.c` explains why it is C.

fn main() {
    const SOURCE: &str = "src/capture.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    for library in ["avformat", "avcodec", "swscale", "avutil", "jpeg"] {
        println!("cargo::rustc-link-lib={library}");
    }
    cc::Build::new()
        .file(SOURCE)
        .std("gnu11")
        .opt_level(2)
        .warnings(true)
        .extra_warnings(true)
        .compile("everyframe_capture");
}
