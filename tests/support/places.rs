//! Where the built and the fetched things lie.

use std::path::PathBuf;

/// The target directory: this test lies in its `PROFILE/deps`.
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

/// `everyframe`, as released: in the folder `EVERYFRAME_BIN`, or in the target directory.
pub fn binary(name: &str) -> PathBuf {
    let folder = from_environment("EVERYFRAME_BIN").unwrap_or_else(|| target().join("release"));
    there(folder.join(name), "make build")
}

/// A component of one of the three rules, `matching_policy`, as built for wasm32-wasip2.
pub fn rule(name: &str) -> PathBuf {
    let folder = from_environment("EVERYFRAME_PLUGINS").unwrap_or_else(|| target().join("components/wasip2"));
    there(folder.join(name).with_extension("wasm"), "make build-rules")
}

/// The same as built by cargo-component.
pub fn rule_by_cargo_component(name: &str) -> PathBuf {
    let folder = rule(name).parent().expect("a component lies in a folder").with_file_name("component");
    there(folder.join(name).with_extension("wasm"), "make build-rules-component")
}

/// A component of a rule that is not shipped: `hostile_rule`, `python/strangers-only`.
pub fn other_rule(name: &str) -> PathBuf {
    let folder = rule("alerting").parent().expect("a component lies in a folder").to_owned();
    there(folder.with_file_name(name).with_extension("wasm"), "make build-test-rules")
}

/// Something that the set-up put into the cache: `footage/single_face.mp4`.
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

/// Something of the repository: `examples/producers/kcat.sh`.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// A script of the set-up: `kafka.py`, where the set-up has installed what it needs.
pub fn script(name: &str) -> PathBuf {
    drop(cached("kafka"));
    repository("scripts").join(name)
}

/// What `make` in a rule's project is told, so that it takes the tools that the set-up installed.
pub fn component_tools() -> [(&'static str, PathBuf); 2] {
    [
        ("COMPONENTIZE_PY", cached("python/bin/componentize-py")),
        ("COMPONENTIZE_QJS", cached("tools/bin/componentize-qjs")),
    ]
}

/// A folder that outlives the test: rules are built in it.
pub fn guests() -> PathBuf {
    target().join("guests")
}
