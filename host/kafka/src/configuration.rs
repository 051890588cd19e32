//! Reads a configuration and has librdkafka check its Kafka properties.

use crate::properties::property_problems;
use everyframe_config::{ConfigError, Delivery, Loaded};
use std::path::Path;

/// Reads and checks a configuration file, except its rules.
///
/// # Errors
///
/// The file cannot be read, or something in it is wrong: the error names each line.
pub fn read_configuration(file: &Path) -> Result<Loaded, ConfigError> {
    check_properties(Loaded::read(file)?, false)
}

/// The same for a host, which may use transactions.
///
/// # Errors
///
/// As [`read_configuration`].
pub fn read_host_configuration(file: &Path) -> Result<Loaded, ConfigError> {
    let loaded = Loaded::read(file)?;
    let transactions = loaded.config.publish.delivery != Delivery::AtLeastOnce;
    check_properties(loaded, transactions)
}

fn check_properties(loaded: Loaded, transactions: bool) -> Result<Loaded, ConfigError> {
    let problems = property_problems(&loaded.config.kafka, transactions).into_iter();
    let problems: Vec<_> = problems.map(|(key, message)| loaded.problem(&key, message)).collect();
    if problems.is_empty() { Ok(loaded) } else { Err(ConfigError::Invalid(problems)) }
}
