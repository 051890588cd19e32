//! Compiles the only C file. `src/jpeg.c` explains why it is C.

fn main() {
    const SOURCE: &str = "src/jpeg.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rustc-link-lib=jpeg");
    cc::Build::new().file(SOURCE).opt_level(2).warnings(true).extra_warnings(true).compile("everyframe_jpeg");
}
