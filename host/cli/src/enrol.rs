//! `everyframe enrol`

use super::ask::confirm;
use super::privacy::{TermsArguments, actor, append_to_trail};
use super::{Connection, DONE, FAILED, logging};
use anyhow::{Result, bail};
use everyframe_gallery::parse_new_person_id;
use everyframe_pipeline::enrolment::Enroller;
use everyframe_privacy::{Action, NewTrailEntry};
use everyframe_types::id::parse_name;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe enrol ann --name \"Ann Lee\" ann-1.jpg ann-2.jpg\n\
    A picture must show one face, and show it well. A face that resembles somebody enrolled under another id is refused: \
    one person under two ids is never recognised. A picture that looks unlike the person's others is enrolled with a warning. \
    Running hosts know the person within a second.")]
pub struct Arguments {
    /// The person's id, as it appears in results and alerts: at most 128 bytes, without `/`.
    #[arg(value_parser = parse_new_person_id)]
    person: String,
    /// Pictures of the person: JPEG, PNG or WebP.
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
    /// The name to show; the id if not given.
    #[arg(long, value_parser = parse_name)]
    name: Option<String>,
    /// Refuse a face of lower quality, 0 to 1.
    #[arg(long, default_value_t = 0.4)]
    min_quality: f32,
    /// Enrol the person even if the face resembles another person's, or the id looks like another one.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    terms: TermsArguments,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let config = arguments.connection.prepare_topics()?;
    let mut enroller =
        Enroller::open(&config, &super::cache_folder()?, &arguments.person, arguments.terms.terms())?;
    if let Some(other) = enroller.similar_id() {
        let why = format!("the id `{}` looks like `{other}`, who is enrolled", arguments.person);
        if !may_go_on(arguments, &why)? {
            logging::print_message(&format!(
                "everyframe: {why}: give that id if it is the same person, or --force if they are two"
            ));
            return Ok(FAILED);
        }
    }
    let consent = enroller.terms().consent.as_deref().unwrap_or("none");
    let entry = NewTrailEntry {
        actor: actor(),
        action: Action::Enrolled,
        subject: arguments.person.clone(),
        detail: format!("pictures: {}, consent: {consent}", arguments.pictures.len()),
    };
    append_to_trail(&config, &entry)?;
    let mut refused = 0;
    for picture in &arguments.pictures {
        match enrol(arguments, picture, &mut enroller) {
            Ok(quality) => println!("{}: enrolled, quality {quality:.2}", picture.display()),
            Err(error) => {
                logging::print_message(&format!("everyframe: {}: refused: {error:#}", picture.display()));
                refused += 1;
            }
        }
    }
    enroller.finish(&arguments.person)?;
    for sample in enroller.odd_samples() {
        logging::print_message(&format!("everyframe: warning: {sample}"));
    }
    let enrolled = arguments.pictures.len() - refused;
    println!("{}: enrolled {enrolled}, refused {refused}", arguments.person);
    Ok(if refused == 0 { DONE } else { FAILED })
}

/// Enrols one picture, and returns the quality of its face.
fn enrol(arguments: &Arguments, picture: &Path, enroller: &mut Enroller) -> Result<f32> {
    let face = enroller.examine(picture, arguments.min_quality)?;
    if let Some(resemblance) = enroller.find_resemblance(&face)
        && !may_go_on(arguments, &format!("{}: {resemblance}", picture.display()))?
    {
        bail!(
            "{resemblance}: enrol the picture under that id if it is the same person, or give --force if they are two"
        );
    }
    let name = arguments.name.as_ref().unwrap_or(&arguments.person);
    let source = picture.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    enroller.store(&face, &arguments.person, name, &source)?;
    Ok(face.quality)
}

/// Asks whether to enrol a person who may be enrolled already; `why` says what points to that.
fn may_go_on(arguments: &Arguments, why: &str) -> Result<bool> {
    if arguments.force {
        logging::print_message(&format!("everyframe: warning: {why}; enrolled because of --force"));
        return Ok(true);
    }
    Ok(confirm(&format!("{why}. Enrol as `{}` anyway", arguments.person))?.unwrap_or(false))
}
