//! Errors of loading rules, and failures of rules on a frame.

use everyframe_config::RuleKind;
use std::fmt;

/// The rules of a configuration cannot be loaded. Nothing was started.
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

/// One problem of one rule. Displayed as `rules.NAME.KEY: what is wrong and what to do`.
#[derive(Debug)]
pub struct Problem {
    /// The rule's name in the configuration; empty if the problem concerns all rules together.
    pub rule: String,
    /// The key inside the rule's table, dotted: `component`, `settings.threshold`; empty if no key is at fault.
    pub key: String,
    /// What is wrong.
    pub error: LoadError,
}

impl Problem {
    pub(super) fn new(rule: &str, key: impl Into<String>, error: LoadError) -> Self {
        Self { rule: rule.to_owned(), key: key.into(), error }
    }
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
    /// The rules cannot work together, or a setting that the host reads is out of range.
    #[error("{0}")]
    Setting(String),
    /// The component file cannot be read.
    #[error("cannot read {path}: {source}; build the rule, or correct the path")]
    Read {
        /// The file.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The component file is larger than `limits.component_mb`.
    #[error(
        "{path} is larger than the limit of {limit} MiB; build the rule with `--release`, or raise \
         `limits.component_mb`"
    )]
    TooLarge {
        /// The file.
        path: String,
        /// The limit, MiB.
        limit: u64,
    },
    /// The file's checksum differs from the configured one.
    #[error(
        "{path} has sha256 {actual}, not {expected}; to accept the new file, set `sha256 = \"{actual}\"`"
    )]
    Checksum {
        /// The file.
        path: String,
        /// The checksum in the configuration.
        expected: String,
        /// The checksum of the file.
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
    /// Native code: it would run outside the sandbox.
    #[error(
        "{path} is machine code (a `.cwasm` or another ELF file), which is never loaded; \
         name the WebAssembly component (`.wasm`)"
    )]
    MachineCode {
        /// The file.
        path: String,
    },
    /// Not WebAssembly at all.
    #[error("{path} is not a WebAssembly component; name the `.wasm` file that the rule's build produced")]
    NotWasm {
        /// The file.
        path: String,
    },
    /// It begins like a component, but does not validate.
    #[error(
        "{path} is damaged, or uses a feature that this host does not support: {reason}; build or copy it again"
    )]
    Damaged {
        /// The file.
        path: String,
        /// The validator's message.
        reason: String,
    },
    /// Its initial memories, tables or instances exceed a limit.
    #[error("{path} exceeds a limit before it runs: {reason}; raise `limits.{key}` if it needs that")]
    TooBig {
        /// The file.
        path: String,
        /// The engine's message.
        reason: String,
        /// The limit: `memory_mb`.
        key: &'static str,
    },
    /// A rule of another kind.
    #[error("the configuration says `{expected}`, but the component is {found}", expected = kind_name(*.expected))]
    WrongKind {
        /// The kind in the configuration.
        expected: RuleKind,
        /// What the component is, and what to do.
        found: String,
    },
    /// It imports an interface that this host does not provide to the rule.
    #[error("the component imports `{import}`, {advice}")]
    Import {
        /// The import's full name.
        import: String,
        /// What to do.
        advice: String,
    },
    /// It does not match the contract that it names.
    #[error(
        "the component does not match the contract everyframe:rules@{version}: {reason}; build it against `wit/{version}`"
    )]
    Mismatch {
        /// The contract's version.
        version: &'static str,
        /// The linker's message.
        reason: String,
    },
    /// The rule's own error or warning about its settings.
    #[error("{0}")]
    Settings(String),
    /// The rule failed in `describe` or `configure`.
    #[error("the rule could not take its settings: {0}")]
    Failed(RuleFailure),
    /// The WebAssembly engine could not be created.
    #[error("the WebAssembly engine cannot be created: {0}")]
    Engine(String),
}

impl LoadError {
    /// True if the file is at fault, not the rule in it: it is missing, or is not a component.
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

/// A kind, as the configuration writes it: `matching-policy`.
pub fn kind_name(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::MatchingPolicy => "matching-policy",
        RuleKind::UnknownPerson => "unknown-person",
        RuleKind::Alerting => "alerting",
    }
}

/// A rule failed on one frame. No state of the frame's rules was changed. Park the frame with [`FailureKind::reason`]
/// and continue: the next frame gets fresh instances.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {message}")]
pub struct RuleFailure {
    /// The rule's name in the configuration.
    pub rule: String,
    /// What went wrong.
    pub kind: FailureKind,
    /// For people. Of bounded length, without control characters.
    pub message: String,
}

/// What a rule did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It did not return within `limits.time_ms`.
    TimedOut,
    /// It trapped after the host refused it memory.
    OutOfMemory,
    /// It trapped after the host refused it table elements.
    OutOfTable,
    /// It held more resources or handles than its limits allow, or has more parts.
    TooManyResources,
    /// It trapped: a panic, a bug, an exit.
    Trapped,
    /// Its answer contradicts the input or the contract.
    Nonsense,
    /// Its answer is too large.
    OutputTooLarge,
    /// It passed too many bytes to the host in one call.
    TransferTooLarge,
    /// A fresh instance refused settings that were accepted when the rules were loaded.
    RefusedSettings,
    /// It failed too often in a row and is paused.
    NotAsked,
    /// The host could not run it; the rule is not at fault.
    NotRun,
}

impl FailureKind {
    /// A stable name for programs: a dead letter's reason, a metric's label.
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

/// What a rule did wrong, without the rule's name: the parts below the chain do not know it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FailureKind,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
