//! `everyframe token`

use super::DONE;
use anyhow::{Context as _, Result};
use everyframe_config::Role;
use everyframe_types::id::parse;

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe token anna --role enrol >> everyframe.toml\n\
    The table goes to standard output, for the configuration; the token itself goes to standard error, once, and is kept \
    nowhere. A dashboard started after the change knows it.")]
pub struct Arguments {
    /// Who uses it; acknowledged alerts show this name.
    #[arg(value_parser = parse_token_name)]
    name: String,
    /// What it allows: to look; to change people, identify faces and acknowledge alerts as well; or everything.
    #[arg(long, default_value = "view", value_parser = parse_role)]
    role: Role,
}

fn parse_token_name(text: &str) -> Result<String, String> {
    parse(text, 64).map_err(|error| format!("the name {error}"))
}

fn parse_role(text: &str) -> Result<Role, String> {
    let roles = [Role::View, Role::Enrol, Role::Admin];
    let found = roles.into_iter().find(|role| role.to_string() == text);
    found.ok_or_else(|| "there are: view, enrol, admin".into())
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let (token, sha256) = everyframe_web::make_token().context("the system has no random numbers")?;
    let name = toml::Value::String(arguments.name.clone());
    println!("\n[[web.tokens]]\nname = {name}\nrole = \"{}\"\nsha256 = \"{sha256}\"", arguments.role);
    super::logging::print_message(&format!("token of {}: {token}", arguments.name));
    Ok(DONE)
}
