//! The rules of a configuration file: problems get their lines.

use crate::code_cache::CodeCache;
use crate::error::RuleError;
use crate::rules::Rules;
use everyframe_config::{ConfigError, Loaded};
use tokio::runtime::Handle;

/// Loads the rules of a configuration, with what they are granted: reads, checks, compiles and configures them.
///
/// # Errors
///
/// A rule or a grant cannot be used: the error names each line of the configuration.
pub fn load_rules(loaded: &mut Loaded, runtime: &Handle, cache: &CodeCache) -> Result<Rules, ConfigError> {
    loaded.resolve_grants()?;
    let rules = Rules::load(&loaded.config.rules, runtime.clone(), Some(cache));
    rules.map_err(|error| place_problems(loaded, error))
}

fn place_problems(loaded: &Loaded, error: RuleError) -> ConfigError {
    let problems = error.problems.iter().map(|problem| {
        let index = loaded.config.rules.iter().position(|rule| rule.name == problem.rule);
        let key = match index {
            Some(index) if problem.key.is_empty() => format!("rules[{index}]"),
            Some(index) => format!("rules[{index}].{}", problem.key),
            None => "rules".to_owned(),
        };
        loaded.problem(&key, problem.error.to_string())
    });
    ConfigError::Invalid(problems.collect())
}
