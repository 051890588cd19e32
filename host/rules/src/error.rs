//! What can go wrong when rules are loaded, and when they judge.

use everyframe_config::RuleKind;
use std::fmt;

/// The rules of a configuration cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub struct RuleError {
    /// Every problem found, in the order of the configuration.
    pub problems: Vec<Problem>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// One problem of one rule. Shown as `rules.NAME.KEY: what is wrong and what to do`.
#[derive(Debug)]
pub struct Problem {
    /// The rule's name in the configuration; empty if it is about the rules as a whole.
    pub rule: String,
    /// The key inside the rule's table, dotted: `component`, `settings.threshold`; empty for the whole.
    pub key: String,
    /// What is wrong.
    pub error: LoadError,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rules")?;
        for part in [&self.rule, &self.key] {
            if !part.is_empty() {
                write!(f, ".{part}")?;
            }
        }
        write!(f, ": {}", self.error)
    }
}

/// Why a rule cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The rules do not make a chain, or a setting of the host's is out of range.
    #[error("{0}")]
    Setting(String),
    /// The component file cannot be read.
    #[error("cannot read {path}: {source}; build the rule, or correct the path")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The component file is larger than the host takes.
    #[error(
        "{path} is larger than {limit} MiB, the most that is loaded; build the rule with `--release`, or raise \
         `limits.component_mb`"
    )]
    TooLarge {
        /// The file.
        path: String,
        /// MiB.
        limit: u64,
    },
    /// The file is not the one that the configuration names.
    #[error(
        "{path} has sha256 {actual}, not {expected}; if the new file is meant, set `sha256 = \"{actual}\"`"
    )]
    Checksum {
        /// The file.
        path: String,
        /// Of the configuration.
        expected: String,
        /// Of the file.
        actual: String,
    },
    /// A WebAssembly module, not a component.
    #[error(
        "{path} is a core module: build it as a component, with `cargo component build --release` \
         or `cargo build --release --target wasm32-wasip2`"
    )]
    CoreModule {
        /// The file.
        path: String,
    },
    /// Code that some host compiled: it would run outside the sandbox.
    #[error(
        "{path} is machine code (a `.cwasm` or another ELF file), which is never loaded; \
         name the WebAssembly component (`.wasm`)"
    )]
    MachineCode {
        /// The file.
        path: String,
    },
    /// Neither.
    #[error("{path} is not a WebAssembly component; name the `.wasm` file that the rule's build made")]
    NotWasm {
        /// The file.
        path: String,
    },
    /// It begins like a component, but is none.
    #[error("{path} is damaged, or uses what this host does not support: {reason}; build or copy it again")]
    Damaged {
        /// The file.
        path: String,
        /// The validator's words.
        reason: String,
    },
    /// It needs more from its start than any rule is given.
    #[error("{path} starts with more than a rule is given: {reason}; raise `limits.{key}` if it needs that")]
    TooBig {
        /// The file.
        path: String,
        /// The engine's words.
        reason: String,
        /// The limit: `memory_mb`.
        key: &'static str,
    },
    /// A rule, but of another kind.
    #[error("the configuration says `{expected}`, but the component is {found}", expected = kind_name(*.expected))]
    WrongKind {
        /// The kind in the configuration.
        expected: RuleKind,
        /// What it looks like, and what to do.
        found: String,
    },
    /// It wants something that no rule is given, or that another version of the host gives.
    #[error("the component imports `{import}`, {advice}")]
    Import {
        /// The import's full name.
        import: String,
        /// What to do.
        advice: String,
    },
    /// It does not fit the contract that it names.
    #[error(
        "the component does not fit the contract everyframe:rules@{version}: {reason}; build it against `wit/{version}`"
    )]
    Misfit {
        /// The contract's version.
        version: &'static str,
        /// The linker's words.
        reason: String,
    },
    /// The rule refused its settings, or warned about them.
    #[error("{0}")]
    Settings(String),
    /// The rule failed when it was asked about itself and its settings.
    #[error("the rule could not take its settings: {0}")]
    Failed(RuleFailure),
    /// The engine could not be made.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
}

impl LoadError {
    /// True where it is not the rule that is at fault: the file is not there, or is no component at all.
    pub fn is_about_the_file(&self) -> bool {
        matches!(
            self,
            Self::Read { .. }
                | Self::TooLarge { .. }
                | Self::CoreModule { .. }
                | Self::MachineCode { .. }
                | Self::NotWasm { .. }
                | Self::Damaged { .. }
        )
    }
}

/// A kind as the configuration writes it.
pub fn kind_name(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::MatchingPolicy => "matching-policy",
        RuleKind::UnknownPerson => "unknown-person",
        RuleKind::Alerting => "alerting",
    }
}

/// A rule failed on one frame. Nothing that the frame's rules remembered was kept; park the frame with
/// [`FailureKind::reason`] and go on: the next frame gets fresh instances.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {message}")]
pub struct RuleFailure {
    /// The rule's name in the configuration.
    pub rule: String,
    /// What it did.
    pub kind: FailureKind,
    /// For a person; without control characters and of bounded length.
    pub message: String,
}

/// What a rule did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It did not end within `limits.time_ms`.
    TimedOut,
    /// It trapped after it was refused memory.
    OutOfMemory,
    /// It trapped after it was refused table elements.
    OutOfTable,
    /// It held more resources or handles than it may, or is made of more parts.
    TooManyResources,
    /// It trapped: a panic, a bug, an exit.
    Trapped,
    /// Its answer contradicts the question or the contract.
    Nonsense,
    /// Its answer is too large.
    OutputTooLarge,
    /// What it handed to the host in one call is too large.
    TransferTooLarge,
    /// A fresh instance refused settings that were accepted when the rules were loaded.
    RefusedSettings,
    /// It failed too often in a row, and was not asked.
    NotAsked,
    /// The host could not run it; not the rule's doing.
    NotRun,
}

impl FailureKind {
    /// A stable name for machines: a dead letter's reason, a metric's label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TimedOut => "rule-timed-out",
            Self::OutOfMemory => "rule-out-of-memory",
            Self::OutOfTable => "rule-out-of-table-elements",
            Self::TooManyResources => "rule-too-many-resources",
            Self::Trapped => "rule-trapped",
            Self::Nonsense => "rule-answered-nonsense",
            Self::OutputTooLarge => "rule-output-too-large",
            Self::TransferTooLarge => "rule-transfer-too-large",
            Self::RefusedSettings => "rule-refused-settings",
            Self::NotAsked => "rule-not-asked",
            Self::NotRun => "rule-not-run",
        }
    }
}
