//! The code that the bindings of all contract versions and worlds share. They have the same shape but no common type, so it is a
//! macro.

/// Implements [`RulePre`](super::contract::RulePre) and [`Instance`](super::contract::Instance) for one world. `$call` calls the
/// world's own function; `lower_frame` must be in scope.
macro_rules! rule_pre {
    ($world:ident, $pre:ident, $instance:ident, |$rule:ident, $store:ident, $frame:ident, $input:ident| $call:expr) => {
        impl $crate::contract::RulePre for $world::$pre<$crate::host_state::HostState> {
            fn describe<'a>(
                &'a self,
                store: &'a mut wasmtime::Store<$crate::host_state::HostState>,
                settings: &'a str,
            ) -> $crate::contract::CallFuture<'a, $crate::contract::SelfDescription> {
                Box::pin(async move {
                    let rule = self.instantiate_async(&mut *store).await?;
                    let rule = rule.everyframe_rules_rule();
                    let described = rule.call_describe(&mut *store).await?;
                    let diagnostics = rule.call_configure(&mut *store, settings).await?;
                    Ok($crate::contract::SelfDescription {
                        name: described.name,
                        version: described.version,
                        about: described.about,
                        settings_schema: described.settings_schema,
                        diagnostics: diagnostics.into_iter().map(|d| d.lift()).collect(),
                    })
                })
            }

            fn instantiate<'a>(
                &'a self,
                store: &'a mut wasmtime::Store<$crate::host_state::HostState>,
                settings: &'a str,
            ) -> $crate::contract::CallFuture<
                'a,
                Result<Box<dyn $crate::contract::Instance>, Vec<$crate::contract::Diagnostic>>,
            > {
                Box::pin(async move {
                    let rule = self.instantiate_async(&mut *store).await?;
                    let diagnostics =
                        rule.everyframe_rules_rule().call_configure(&mut *store, settings).await?;
                    let errors: Vec<_> =
                        diagnostics.into_iter().map(|d| d.lift()).filter(|d| d.is_error).collect();
                    if !errors.is_empty() {
                        return Ok(Err(errors));
                    }
                    let instance: Box<dyn $crate::contract::Instance> = Box::new(rule);
                    Ok(Ok(instance))
                })
            }
        }

        impl $crate::contract::Instance for $world::$instance {
            fn call<'a>(
                &'a self,
                $store: &'a mut wasmtime::Store<$crate::host_state::HostState>,
                frame: &'a $crate::frame::FrameFacts<'a>,
                $input: $crate::contract::Input<'a>,
            ) -> $crate::contract::CallFuture<'a, $crate::contract::Answer> {
                Box::pin(async move {
                    let ($rule, $frame) = (self, &lower_frame(frame));
                    $call
                })
            }
        }

        impl $world::exports::everyframe::rules::rule::Diagnostic {
            fn lift(self) -> $crate::contract::Diagnostic {
                $crate::contract::Diagnostic {
                    is_error: self.severity == $world::exports::everyframe::rules::rule::Severity::Error,
                    key: self.key,
                    message: self.message,
                }
            }
        }
    };
}

pub(super) use rule_pre;
