//! Templates of titles, texts and bodies. All are checked with the configuration: their syntax, their variables, and that they can
//! be rendered.

use crate::message::Content;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use std::collections::BTreeSet;

/// The variables of a template.
pub const VARIABLES: [&str; 15] = [
    "alerts",
    "camera",
    "channel",
    "count",
    "escalated",
    "from",
    "id",
    "kind",
    "rule",
    "severity",
    "subject",
    "summary",
    "text",
    "time",
    "to",
];
/// What minijinja itself defines.
const FUNCTIONS: [&str; 4] = ["debug", "dict", "namespace", "range"];

const NAME: &str = "template";

/// A checked template.
pub struct Template(Environment<'static>);

impl Template {
    /// Parses and checks a template. `samples` are messages that it must be able to render.
    ///
    /// # Errors
    ///
    /// A message for the operator: what is wrong, and in which line of the template.
    pub fn new(source: &str, samples: &[Content]) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| explain(&error))?;
        let template = Self(environment);
        template.check_variables()?;
        samples.iter().try_for_each(|sample| template.render(sample).map(drop))?;
        Ok(template)
    }

    fn check_variables(&self) -> Result<(), String> {
        let template = self.0.get_template(NAME).map_err(|error| explain(&error))?;
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        let is_known = |name: &str| VARIABLES.contains(&name) || FUNCTIONS.contains(&name);
        match used.iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(format!("there is no variable `{name}`; there are: {}", VARIABLES.join(", "))),
        }
    }

    /// Renders a message.
    ///
    /// # Errors
    ///
    /// A message for the operator. A checked template fails only on what the samples did not show.
    pub fn render(&self, content: &Content) -> Result<String, String> {
        let template = self.0.get_template(NAME).map_err(|error| explain(&error))?;
        template.render(Serde(content)).map_err(|error| explain(&error))
    }
}

fn explain(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!("line {line} of the template: ")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{line}{}{detail}", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::sample_contents;

    fn refused(source: &str) -> String {
        Template::new(source, &sample_contents("gate")).err().unwrap()
    }

    #[test]
    fn an_unknown_variable_is_named() {
        let said = refused("{{ text }} at {{ camra }}");
        assert!(said.contains("no variable `camra`") && said.contains("camera"), "{said}");
    }

    #[test]
    fn an_unknown_attribute_of_an_alert_is_found() {
        let said = refused("{% for alert in alerts %}{{ alert.txt }}{% endfor %}");
        assert!(said.contains("line 1 of the template") && said.contains("undefined"), "{said}");
    }

    #[test]
    fn broken_syntax_is_found_with_its_line() {
        let said = refused("{{ text }}\n{% if %}");
        assert!(said.starts_with("line 2 of the template"), "{said}");
        assert!(refused("{{ text | shout }}").contains("filter"), "unknown filters, too");
    }

    #[test]
    fn a_template_can_use_every_variable() {
        let all: String = VARIABLES.iter().map(|name| format!("{{{{ {name} }}}}\n")).collect();
        let template = Template::new(&all, &sample_contents("gate")).unwrap();
        let text = template.render(&sample_contents("gate")[0]).unwrap();
        assert!(text.contains("test") && text.contains("info"), "{text}");
    }
}
