//! `everyframe gallery`

use super::logging::print_message;
use super::{Connection, DONE, FAILED};
use anyhow::Result;
use everyframe_gallery::{Sample, find_odd_samples, find_similar_people, read_samples, remove_person};
use everyframe_kafka::{Producer, ensure};
use everyframe_pipeline::gallery_migration::{Migration, migrate_gallery};
use everyframe_types::id::{printable, printable_json};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the enrolled people.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Remove a person: all samples are erased.
    Remove {
        /// The person's id.
        person: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Embed the people again whose templates are of another embedder than the configured one, and name those who must be
    /// enrolled again. Hosts with the previous embedder stop recognising the migrated people: restart them with the new one.
    Migrate {
        /// A folder with the pictures that people were enrolled from, with any names and subfolders. The gallery keeps no
        /// pictures; without this, nothing can be embedded again.
        #[arg(long, value_name = "FOLDER")]
        pictures: Option<PathBuf>,
        /// Store nothing, only show what would be done.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

pub fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::List { json, connection } => {
            let config = connection.config()?;
            // Before the first host or enrolment there is no topic yet; then nobody is enrolled.
            super::runtime()?.block_on(ensure(&config))?;
            let samples = read_samples(&config)?;
            let mut people: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
            let positive = || samples.values().filter(|sample| !sample.negative);
            positive().for_each(|sample| people.entry(&sample.person).or_default().push(sample));
            for (person, samples) in &people {
                let name = samples.last().map_or(*person, |sample| &sample.name);
                if json {
                    let line =
                        serde_json::json!({ "person": person, "name": name, "samples": samples.len() });
                    println!("{}", printable_json(&line.to_string()));
                } else {
                    println!("{}", printable(&format!("{person}  {name}  samples: {}", samples.len())));
                }
            }
            if people.is_empty() && !json {
                println!("nobody is enrolled; `everyframe enrol PERSON PICTURES…` does it");
            }
            for pair in find_similar_people(positive().map(Sample::template)) {
                print_message(&format!("everyframe: warning: {}", printable(&pair.to_string())));
            }
            for sample in find_odd_samples(samples.values()) {
                print_message(&format!("everyframe: warning: {sample}"));
            }
            Ok(DONE)
        }
        Command::Remove { person, connection } => {
            let config = connection.config()?;
            let removed = remove_person(&config, &Producer::new(&config.kafka)?, &person)?;
            if removed == 0 {
                print_message(&format!(
                    "everyframe: nobody with the id `{person}` is enrolled; `everyframe gallery list` shows who is",
                    person = printable(&person)
                ));
                return Ok(FAILED);
            }
            println!("{}: samples erased: {removed}", printable(&person));
            Ok(DONE)
        }
        Command::Migrate { pictures, dry_run, connection } => {
            let config = connection.config()?;
            super::runtime()?.block_on(ensure(&config))?;
            let migration = migrate_gallery(&config, &super::cache_folder()?, pictures.as_deref(), dry_run)?;
            print_migration(&migration, dry_run);
            Ok(if migration.enrol_again.is_empty() { DONE } else { FAILED })
        }
    }
}

fn print_migration(migration: &Migration, dry_run: bool) {
    let done = if dry_run { "would be embedded again" } else { "embedded again" };
    for (person, picture) in &migration.migrated {
        println!("{}: {}: {done}", printable(person), picture.display());
    }
    for (picture, reason) in &migration.refused {
        println!("{}: refused: {}", picture.display(), printable(reason));
    }
    for person in &migration.partly {
        println!("{}: some samples are of another embedder still", printable(person));
    }
    for person in &migration.enrol_again {
        println!("{}: enrol again", printable(person));
    }
    println!(
        "embedder {}: samples of it {}, {done} {}, people to enrol again {}",
        migration.embedder,
        migration.current,
        migration.migrated.len(),
        migration.enrol_again.len()
    );
}
