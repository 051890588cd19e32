//! Finds the software of a node: a Java runtime and Kafka's jars.

use super::error::{NodeError, OLDEST_JAVA};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Java with an ahead-of-time cache of loaded classes (JEP 514).
const OLDEST_WITH_CACHE: u32 = 25;
/// The oldest Java that warns about native access and Unsafe in Kafka's libraries (JEP 472, JEP 498).
const OLDEST_WITH_WARNINGS: u32 = 24;
/// JVM options for one machine: a small heap, and only the quick compiler, because most of the time goes to the start.
const JVM: [&str; 5] = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
];

/// A Java and a Kafka that fit together.
#[derive(Debug, Clone)]
pub struct Software {
    java: PathBuf,
    java_version: String,
    class_path: String,
    kafka_version: String,
    /// The ahead-of-time cache; none if this Java does not support one.
    cache: Option<PathBuf>,
}

impl Software {
    /// Finds a Java (that of the set-up in the `cache` folder, else that of `JAVA_HOME`, else the first on the `PATH`) and
    /// Kafka's jars (in the folder `jars`, or where the set-up puts them in the `cache` folder).
    ///
    /// # Errors
    /// [`NodeError::NoJava`] and [`NodeError::NoKafka`] say what was looked for, and how to get it.
    pub fn find(cache: &Path, jars: Option<&Path>) -> Result<Self, NodeError> {
        let jars = jars.map_or_else(|| cache.join("kafka"), Path::to_owned);
        let (class_path, kafka_version) = class_path(&jars)?;
        let (java, java_version) = find_java(&candidates(cache))?;
        let keeps = major(&java_version) >= Some(OLDEST_WITH_CACHE);
        let cache = keeps.then(|| cache.join(format!("kafka-{kafka_version}-java-{java_version}.aot")));
        Ok(Self { java, java_version, class_path, kafka_version, cache })
    }

    /// Versions and places, for the log.
    pub fn describe(&self) -> String {
        format!("Kafka {}, Java {} ({})", self.kafka_version, self.java_version, self.java.display())
    }

    /// The path of the ahead-of-time cache, if it is missing and this Java supports one.
    pub(super) fn untrained_cache(&self) -> Option<&Path> {
        self.cache.as_deref().filter(|cache| !cache.exists())
    }

    /// Runs the node whose settings are in this folder.
    pub(super) fn node(&self, folder: &Path) -> Command {
        let mut java = self.java(folder, self.cache_option());
        java.arg("kafka.Kafka").arg(folder.join("server.properties"));
        java
    }

    /// The same, and writes the ahead-of-time cache to the file `learnt`.
    pub(super) fn training_node(&self, folder: &Path, learnt: &Path) -> Command {
        let mut java = self.java(folder, Some(format!("-XX:AOTCacheOutput={}", learnt.display())));
        java.arg("kafka.Kafka").arg(folder.join("server.properties"));
        java
    }

    /// Runs one of Kafka's own commands.
    pub(super) fn tool(&self, folder: &Path, class: &str) -> Command {
        let mut java = self.java(folder, self.cache_option());
        java.arg(class);
        java
    }

    fn cache_option(&self) -> Option<String> {
        let cache = self.cache.as_ref().filter(|cache| cache.is_file())?;
        Some(format!("-XX:AOTCache={}", cache.display()))
    }

    fn java(&self, folder: &Path, cache: Option<String>) -> Command {
        let mut java = Command::new(&self.java);
        java.args(JVM).args(cache);
        if major(&self.java_version) >= Some(OLDEST_WITH_WARNINGS) {
            java.args(["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]);
        }
        let logging = format!("-Dlog4j2.configurationFile={}", folder.join("logging.properties").display());
        java.arg(logging).arg("-cp").arg(&self.class_path);
        java
    }
}

/// The class path in a fixed order, because the ahead-of-time cache is valid for one order only, and Kafka's version.
fn class_path(folder: &Path) -> Result<(String, String), NodeError> {
    let missing = || NodeError::NoKafka { folder: folder.to_owned() };
    let entries = std::fs::read_dir(folder).map_err(|_| missing())?;
    let mut jars: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
    jars.sort();
    // kafka_2.13-4.3.1.jar, for Scala 2.13.
    let version = jars.iter().find_map(|jar| {
        let name = jar.file_stem()?.to_str()?.strip_prefix("kafka_")?;
        Some(name.split_once('-')?.1.to_owned())
    });
    let version = version.ok_or_else(missing)?;
    let jars: Vec<String> = jars.iter().map(|jar| jar.display().to_string()).collect();
    Ok((jars.join(":"), version))
}

/// A place where a Java may be.
struct Candidate {
    /// What a person would look for.
    name: String,
    /// None if the environment does not say.
    java: Option<PathBuf>,
}

fn candidates(cache: &Path) -> [Candidate; 3] {
    let own = cache.join("java/bin/java");
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let on_path = variable("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("java")).find(|java| java.is_file())
    });
    [
        Candidate { name: own.display().to_string(), java: Some(own) },
        Candidate {
            name: "JAVA_HOME".into(),
            java: variable("JAVA_HOME").map(|home| Path::new(&home).join("bin/java")),
        },
        Candidate { name: "java on the PATH".into(), java: on_path },
    ]
}

/// The first that is new enough, and its version.
fn find_java(candidates: &[Candidate]) -> Result<(PathBuf, String), NodeError> {
    let mut looked_for = Vec::new();
    for Candidate { name, java } in candidates {
        let found = match java {
            None => "none".to_owned(),
            Some(java) if !java.is_file() => "not there".to_owned(),
            Some(java) => match version(java) {
                Some(version) if major(&version) >= Some(OLDEST_JAVA) => return Ok((java.clone(), version)),
                Some(version) => format!("version {version}, too old"),
                None => format!("{} does not run", java.display()),
            },
        };
        looked_for.push(format!("{name} ({found})"));
    }
    Err(NodeError::NoJava { looked_for: looked_for.join(", ") })
}

/// `25.0.2`
fn version(java: &Path) -> Option<String> {
    let output = Command::new(java).arg("-version").output().ok()?;
    // openjdk version "25.0.2" 2026-01-20 LTS
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, rest) = text.split_once("version \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// 25 of `25.0.2`; 1 of `1.8.0_402`, which is Java 8.
fn major(version: &str) -> Option<u32> {
    version.split(['.', '-', '+']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A Java that only says its version.
    fn java(folder: &Path, version: &str) -> Candidate {
        let path = folder.join(format!("java-{version}"));
        std::fs::write(&path, format!("#!/bin/sh\necho 'openjdk version \"{version}\" 2026' >&2\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // While another test starts a process, that process holds the file open for writing, and it cannot be run.
        let is_busy = || {
            Command::new(&path)
                .output()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::ExecutableFileBusy)
        };
        while is_busy() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Candidate { name: format!("java {version}"), java: Some(path) }
    }

    #[test]
    fn the_first_java_that_is_new_enough_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Candidate { name: "own".into(), java: Some(folder.path().join("none")) };
        let all = [
            missing,
            java(folder.path(), "11.0.2"),
            java(folder.path(), "17.0.15"),
            java(folder.path(), "25"),
        ];
        assert_eq!(find_java(&all).unwrap().1, "17.0.15");
    }

    #[test]
    fn without_java_every_place_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let unset = Candidate { name: "JAVA_HOME".into(), java: None };
        let error = find_java(&[unset, java(folder.path(), "1.8.0_402")]).unwrap_err().to_string();
        assert!(error.contains("JAVA_HOME (none), java 1.8.0_402 (version 1.8.0_402, too old)"), "{error}");
    }

    #[test]
    fn the_class_path_is_in_order_and_names_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let error = class_path(folder.path()).unwrap_err().to_string();
        assert!(error.contains("EVERYFRAME_KAFKA"), "{error}");
        for name in ["kafka_2.13-4.3.1.jar", "a.jar", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let at = folder.path().display();
        let expected = (format!("{at}/a.jar:{at}/kafka_2.13-4.3.1.jar"), "4.3.1".to_owned());
        assert_eq!(class_path(folder.path()).unwrap(), expected);
    }
}
