//! `everyframe gallery`

use super::{Connection, DONE, FAILED};
use anyhow::Result;
use everyframe_gallery::{Sample, find_similar_people, read_samples, remove_person};
use everyframe_kafka::{Producer, ensure};
use everyframe_types::id::{printable, printable_json};
use std::collections::BTreeMap;

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
}

pub fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::List { json, connection } => {
            let config = connection.config()?;
            // Before the first host or enrolment there is no topic yet; then nobody is enrolled.
            super::runtime()?.block_on(ensure(&config))?;
            let samples = read_samples(&config)?;
            let mut people: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
            samples.values().for_each(|sample| people.entry(&sample.person).or_default().push(sample));
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
            for pair in find_similar_people(samples.values().map(Sample::template)) {
                eprintln!("everyframe: warning: {}", printable(&pair.to_string()));
            }
            Ok(DONE)
        }
        Command::Remove { person, connection } => {
            let config = connection.config()?;
            let removed = remove_person(&config, &Producer::new(&config.kafka)?, &person)?;
            if removed == 0 {
                eprintln!(
                    "everyframe: nobody with the id `{person}` is enrolled; `everyframe gallery list` shows who is",
                    person = printable(&person)
                );
                return Ok(FAILED);
            }
            println!("{}: samples erased: {removed}", printable(&person));
            Ok(DONE)
        }
    }
}
