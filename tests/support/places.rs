//! Paths of programs, components, downloads and sources.

use std::path::PathBuf;

/// The target directory. The test program is in its folder `PROFILE/deps`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own place");
    test.ancestors().nth(3).expect("a test lies in target/PROFILE/deps").to_owned()
}

fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn there(path: PathBuf, who: &str) -> PathBuf {
    assert!(path.exists(), "{} is not there; `{who}` makes it", path.display());
    path
}

/// A program of the release build: in the folder `EVERYFRAME_BIN`, or in the target directory.
pub fn binary(name: &str) -> PathBuf {
    let folder = from_environment("EVERYFRAME_BIN").unwrap_or_else(|| target().join("release"));
    there(folder.join(name), "make build")
}

/// The component of a shipped rule, for example `matching_policy`, built for wasm32-wasip2.
pub fn rule(name: &str) -> PathBuf {
    let folder = from_environment("EVERYFRAME_PLUGINS").unwrap_or_else(|| target().join("components/wasip2"));
    there(folder.join(name).with_extension("wasm"), "make build-rules")
}

/// The same, built by cargo-component.
pub fn rule_by_cargo_component(name: &str) -> PathBuf {
    let folder = rule(name).parent().expect("a component lies in a folder").with_file_name("component");
    there(folder.join(name).with_extension("wasm"), "make build-rules-component")
}

/// The component of another rule: `hostile_rule`, `python/strangers-only`.
pub fn other_rule(name: &str) -> PathBuf {
    let folder = rule("alerting").parent().expect("a component lies in a folder").to_owned();
    there(folder.with_file_name(name).with_extension("wasm"), "make build-test-rules")
}

/// A file that the set-up put into the cache: `footage/single_face.mp4`.
pub fn cached(path: &str) -> PathBuf {
    let cache = from_environment("EVERYFRAME_CACHE")
        .or_else(|| from_environment("XDG_CACHE_HOME").map(|base| base.join("everyframe")))
        .or_else(|| from_environment("HOME").map(|home| home.join(".cache/everyframe")))
        .expect("no cache folder: set EVERYFRAME_CACHE");
    there(cache.join(path), "make setup-test")
}

/// The path of a clip of the footage, `single_face.mp4`, as an argument for a command.
pub fn clip(name: &str) -> String {
    cached("footage").join(name).display().to_string()
}

/// A file of the repository: `examples/producers/kcat.sh`.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// A script of `scripts/` that needs the set-up's Python packages: `kafka.py`.
pub fn script(name: &str) -> PathBuf {
    drop(cached("kafka"));
    repository("scripts").join(name)
}

/// Variables that make `make` in a rule's project use the tools of the set-up.
pub fn component_tools() -> [(&'static str, PathBuf); 2] {
    [
        ("COMPONENTIZE_PY", cached("python/bin/componentize-py")),
        ("COMPONENTIZE_QJS", cached("tools/bin/componentize-qjs")),
    ]
}

/// A folder for building rules, which is kept after the test.
pub fn guests() -> PathBuf {
    target().join("guests")
}
