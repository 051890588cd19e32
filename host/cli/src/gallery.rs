//! `everyframe gallery`

use super::logging::print_message;
use super::privacy::{actor, append_to_trail, format_time};
use super::{Connection, DONE, FAILED};
use anyhow::{Context as _, Result};
use everyframe_config::Config;
use everyframe_gallery::{Sample, Terms, find_odd_samples, find_similar_people, read_samples};
use everyframe_kafka::class_retention;
use everyframe_pipeline::erasure::{Receipt, ReceiptCheck, SignatureState, check_receipt, erase_person};
use everyframe_pipeline::gallery_migration::{Migration, migrate_gallery};
use everyframe_pipeline::rekey::encrypt_again;
use everyframe_pipeline::subject_access::export_person;
use everyframe_privacy::{Action, KeyRing, NewTrailEntry, Signer, write_secret};
use everyframe_types::id::{printable, printable_json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// Erase a person or a stranger on all hosts: samples, records of strangers, rule state, and the key that could decrypt copies of
    /// them. Prints the receipt.
    Erase {
        /// The id of the person or stranger.
        person: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Check the receipt of an erasure, and search all topics for what it says is erased. Exit status 1 if anything is left.
    Verify {
        /// The file with the receipt.
        receipt: PathBuf,
        /// The key that must have signed it, 64 hexadecimal digits; the configured one if not given.
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print everything that is known about a person, as JSON.
    Export {
        /// The person's id.
        person: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Write a new key to a new file, for `[privacy]`.
    MakeKey {
        /// The file.
        file: PathBuf,
    },
    /// Show the ids of the configured keys, and the public key that checks receipts and the trail.
    Keys {
        #[command(flatten)]
        connection: Connection,
    },
    /// Encrypt with the first configured key what is encrypted with another one or not at all. Hosts go on meanwhile.
    Rewrap {
        #[command(flatten)]
        connection: Connection,
    },
    /// Show how long each kind of record is kept.
    Retention {
        #[command(flatten)]
        connection: Connection,
    },
    /// Embed the people again whose templates are of another embedder than the configured one, and name those who must be
    /// enrolled again. Hosts with the previous embedder stop recognising the migrated people: restart them with the new one.
    Migrate {
        /// A folder with the pictures that people were enrolled from, with any names and subfolders. The gallery keeps only a
        /// small picture of each face (160 pixels), which is not used to embed it again. Without the folder, nobody is migrated.
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
            // Before the first host or enrolment there is no topic yet; then nobody is enrolled.
            let config = connection.prepare_topics()?;
            let samples = read_samples(&config)?;
            let mut people: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
            let positive = || samples.values().filter(|sample| !sample.negative);
            positive().for_each(|sample| people.entry(&sample.person).or_default().push(sample));
            for (person, samples) in &people {
                let name = samples.last().map_or(*person, |sample| &sample.name);
                let terms = samples.last().map(|sample| sample.terms.clone()).unwrap_or_default();
                if json {
                    let mut line =
                        serde_json::json!({ "person": person, "name": name, "samples": samples.len() });
                    if terms != Terms::default() {
                        line["terms"] = serde_json::to_value(&terms)?;
                    }
                    println!("{}", printable_json(&line.to_string()));
                } else {
                    let terms = terms_text(&terms);
                    println!(
                        "{}",
                        printable(&format!("{person}  {name}  samples: {}{terms}", samples.len()))
                    );
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
        Command::Erase { person, connection } => erase(&connection.prepare_topics()?, &person),
        Command::Verify { receipt, public_key, connection } => {
            verify(&connection.prepare_topics()?, &receipt, public_key)
        }
        Command::Export { person, connection } => {
            let config = connection.prepare_topics()?;
            let Some(export) = export_person(&config, &person, &actor())? else {
                return Ok(nobody(&person));
            };
            println!("{}", printable_json(&serde_json::to_string(&export)?));
            Ok(DONE)
        }
        Command::MakeKey { file } => {
            write_secret(&file)?;
            println!(
                "{}: a new key; keep a copy in a safe place: without it, nobody can be recognised any more",
                file.display()
            );
            Ok(DONE)
        }
        Command::Keys { connection } => {
            let config = connection.config()?;
            let ring = KeyRing::load(&config.privacy)?;
            for id in ring.ids() {
                println!("{id}  {}", if Some(id) == ring.active_id() { "encrypts" } else { "decrypts" });
            }
            if let Some(signer) = Signer::load(&config.privacy)? {
                println!("{}  signs", signer.public_key());
            }
            Ok(DONE)
        }
        Command::Rewrap { connection } => rewrap(&connection.prepare_topics()?),
        Command::Retention { connection } => {
            for class in class_retention(&connection.prepare_topics()?)? {
                let kept = class.kept_ms.map_or("without limit".into(), |ms| format!("{} h", ms / 3_600_000));
                println!("{:<15} {kept:<14} {}", class.key.trim_end_matches("_h"), class.topic);
            }
            Ok(DONE)
        }
        Command::Migrate { pictures, dry_run, connection } => {
            let config = connection.prepare_topics()?;
            let migration = migrate_gallery(&config, &super::cache_folder()?, pictures.as_deref(), dry_run)?;
            print_migration(&migration, dry_run);
            Ok(if migration.enrol_again.is_empty() { DONE } else { FAILED })
        }
    }
}

fn terms_text(terms: &Terms) -> String {
    let consent = terms.consent.as_ref().map(|consent| format!("  consent: {consent}"));
    let purposes = (!terms.purposes.is_empty()).then(|| format!("  purposes: {}", terms.purposes.join(", ")));
    let expires = terms.expires_at.map(|at| format!("  until: {}", format_time(at)));
    [consent, purposes, expires].into_iter().flatten().collect()
}

fn nobody(person: &str) -> u8 {
    print_message(&format!(
        "everyframe: nobody with the id `{person}` is enrolled, and no stranger has it; `everyframe gallery list` shows who is enrolled",
        person = printable(person)
    ));
    FAILED
}

fn erase(config: &Config, person: &str) -> Result<u8> {
    let Some(receipt) = erase_person(config, person, &actor(), Action::Erased)? else {
        return Ok(nobody(person));
    };
    println!("{}", printable_json(&serde_json::to_string(&receipt)?));
    let Receipt { person, samples, stranger_records, rule_state, data_keys, .. } = &receipt;
    print_message(&format!(
        "everyframe: {}: samples erased: {samples}, records of strangers: {stranger_records}, rule state: {rule_state}, keys \
         destroyed: {}",
        printable(person),
        data_keys.len()
    ));
    if data_keys.is_empty() && *samples > 0 {
        print_message(
            "everyframe: warning: the templates were not encrypted: until Kafka compacts its segments, within a day, copies of them \
             are on its disks",
        );
    }
    if receipt.signed.is_none() {
        print_message(
            "everyframe: warning: the receipt is not signed; [privacy] signing_key is not configured",
        );
    }
    if let Some(until) = receipt.results_until {
        print_message(&format!(
            "everyframe: results and alerts name the person until they are deleted, results by {}",
            format_time(until)
        ));
    }
    Ok(DONE)
}

fn verify(config: &Config, file: &Path, public_key: Option<String>) -> Result<u8> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let receipt: Receipt =
        serde_json::from_str(&text).with_context(|| format!("{} is no receipt", file.display()))?;
    let check = check_receipt(config, &receipt, public_key)?;
    let ReceiptCheck { signature, remains, rule_state, trail } = &check;
    let signature = match signature {
        SignatureState::Valid => "valid",
        SignatureState::Invalid => "WRONG: the receipt was changed, or signed by another key",
        SignatureState::Unsigned => "none: the receipt is not signed",
        SignatureState::Unchecked => "not checked: give --public-key, or configure the signing key",
    };
    println!("receipt                 {} of {}", receipt.id, printable(&receipt.person));
    println!("erased                  {}", format_time(receipt.erased_at));
    println!("signature               {signature}");
    println!("readable templates      {}", remains.readable);
    println!("unreadable templates    {} (their key is destroyed)", remains.unreadable);
    println!("keys not destroyed      {}", remains.data_keys);
    println!("records of strangers    {}", remains.stranger_records);
    println!("rule state              {rule_state}");
    println!("faults of the trail     {}", trail.faults.len());
    trail.faults.iter().for_each(|fault| println!("  {}", printable(fault)));
    if remains.is_enrolled_again {
        println!("a person with this id was enrolled again since");
    }
    Ok(if check.is_proof() { DONE } else { FAILED })
}

fn rewrap(config: &Config) -> Result<u8> {
    let entry = NewTrailEntry {
        actor: actor(),
        action: Action::Rewrapped,
        subject: "keys".into(),
        detail: String::new(),
    };
    append_to_trail(config, &entry)?;
    let report = encrypt_again(config)?;
    println!(
        "encrypted again: keys of people {}, samples that were not encrypted {}, rule state {}",
        report.data_keys, report.samples, report.rule_state
    );
    if report.has_hosts {
        println!(
            "rule state is left as it is while hosts are running; stop all of them and do this again to encrypt it, too"
        );
    }
    for (id, count) in &report.left {
        println!("key {id} is still needed for {count} values; keep it in [privacy] keys");
    }
    Ok(DONE)
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
