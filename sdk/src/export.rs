//! The macros that export a rule as a component, and the functions that they call.

use crate::bindings::rule::{self, Description, Diagnostic};
use crate::settings::{self, Severity};
use crate::{Alert, Frame, Rule, sum_up, summary_text};

/// Exports a [`MatchingPolicy`](crate::MatchingPolicy) as this crate's component.
#[macro_export]
macro_rules! export_matching_policy {
    ($rule:ty) => {
        $crate::__export!($rule, matching, MatchingPolicy, decide(Probe) -> Verdict, keep);
    };
}

/// Exports an [`UnknownPersonRule`](crate::UnknownPersonRule) as this crate's component.
#[macro_export]
macro_rules! export_unknown_person_rule {
    ($rule:ty) => {
        $crate::__export!($rule, strangers, UnknownPersonRule, observe(Face) -> Sighting, keep);
    };
}

/// Exports an [`AlertRule`](crate::AlertRule) as this crate's component.
#[macro_export]
macro_rules! export_alert_rule {
    ($rule:ty) => {
        $crate::__export!($rule, alerts, AlertRule, judge(Subject) -> Alert, limit);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($rule:ty, $interface:ident, $kind:ident, $function:ident($item:ident) -> $answer:ident, $finish:ident) => {
        const _: () = {
            struct Component;

            ::std::thread_local! {
                /// The settings that `configure` accepted; the defaults until then.
                static RULE: ::std::cell::RefCell<$rule> = ::std::cell::RefCell::default();
            }

            impl $crate::bindings::rule::Guest for Component {
                fn describe() -> $crate::bindings::rule::Description {
                    $crate::__private::describe::<$rule>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                }

                fn configure(
                    settings: ::std::string::String,
                ) -> ::std::vec::Vec<$crate::bindings::rule::Diagnostic> {
                    let (rule, diagnostics) = $crate::__private::configure::<$rule>(&settings);
                    if let Some(rule) = rule {
                        RULE.set(rule);
                    }
                    diagnostics
                }
            }

            impl $crate::bindings::$interface::exports::everyframe::rules::$interface::Guest for Component {
                fn $function(
                    frame: $crate::Frame,
                    items: ::std::vec::Vec<$crate::$item>,
                ) -> ::std::vec::Vec<$crate::$answer> {
                    let answer = RULE.with_borrow(|rule| {
                        $crate::$kind::$function(rule, &frame, &items, &mut $crate::__private::Contract)
                    });
                    $crate::__private::$finish(&frame, answer)
                }
            }

    $crate::bindings::every::export!(Component with_types_in $crate::bindings::every);
    $crate::bindings::$interface::export!(Component with_types_in $crate::bindings::$interface);
        };
    };
}

/// Returns the answer unchanged.
pub fn keep<T>(_: &Frame, answer: Vec<T>) -> Vec<T> {
    answer
}

/// Summarises alerts if the host would refuse that many.
pub fn limit(frame: &Frame, alerts: Vec<Alert>) -> Vec<Alert> {
    sum_up(frame, alerts, summary_text)
}

/// The rule's description.
pub fn describe<R: Rule>(name: &str, version: &str) -> Description {
    Description {
        name: name.into(),
        version: version.into(),
        about: R::ABOUT.into(),
        settings_schema: settings::schema::<R>(),
    }
}

/// Parses the rule's settings. Returns no rule if there are errors.
pub fn configure<R: Rule>(json: &str) -> (Option<R>, Vec<Diagnostic>) {
    let (rule, problems) = settings::read(json);
    (rule, problems.into_iter().map(Diagnostic::from).collect())
}

impl From<settings::Problem> for Diagnostic {
    fn from(problem: settings::Problem) -> Self {
        let severity = match problem.severity {
            Severity::Warning => rule::Severity::Warning,
            Severity::Error => rule::Severity::Error,
        };
        Diagnostic { severity, key: problem.key, message: problem.message }
    }
}
