//! The rules of the configuration file as it is now, to show and to try their settings.

use crate::problem::Problem;
use everyframe_config::{ConfigError, Loaded};
use everyframe_kafka::read_host_configuration;
use everyframe_rules::{CodeCache, Rules, load_rules};
use std::path::{Path, PathBuf};
use tokio::runtime::Handle;

/// Reads the configuration file, and loads its rules. Rules that are loaded here judge no frame of the pipeline.
pub struct RuleSource {
    /// The configuration file; none if the process has none.
    file: Option<PathBuf>,
    cache: PathBuf,
    /// Where rules run; not a runtime of this crate's requests.
    runtime: Handle,
}

impl RuleSource {
    /// `file` is the configuration file, `cache` the folder of compiled rules.
    pub fn new(file: Option<&Path>, cache: &Path, runtime: Handle) -> Self {
        Self { file: file.map(Path::to_owned), cache: cache.to_owned(), runtime }
    }

    /// Reads the configuration as it is now. Blocks.
    ///
    /// # Errors
    ///
    /// There is no file, or it cannot be used.
    pub fn read(&self) -> Result<Loaded, Problem> {
        let missing =
            || Problem::unavailable("this process has no configuration file; start it with --config");
        let file = self.file.as_ref().ok_or_else(missing)?;
        read_host_configuration(file).map_err(|error| Problem::unavailable(problem_lines(&error)))
    }

    /// Loads the rules of a configuration. Blocks: 0.1 s, and longer for a component that was never compiled.
    ///
    /// # Errors
    ///
    /// A rule cannot be used; [`problem_lines`] says why.
    pub fn load(&self, loaded: &mut Loaded) -> Result<Rules, ConfigError> {
        load_rules(loaded, &self.runtime, &CodeCache::in_folder(&self.cache))
    }
}

/// The problems of a configuration, one on each line, with their keys. The path of the file is nobody's business over HTTP.
pub fn problem_lines(error: &ConfigError) -> String {
    let ConfigError::Invalid(problems) = error else { return "the configuration file cannot be read".into() };
    let lines = problems.iter().map(|problem| match problem.key.as_str() {
        "" => problem.message.clone(),
        key => format!("{key}: {}", problem.message),
    });
    lines.collect::<Vec<_>>().join("\n")
}
