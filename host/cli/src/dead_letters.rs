//! `everyframe dead-letters`

use super::letter_choice::{self as choice, Choice};
use super::{Connection, DONE, FAILED, letter_fate};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use everyframe_config::Config;
use everyframe_types::dead_letter::{LetterActions, MESSAGE, Partial, Place, REASON, STAGE};
use everyframe_types::event::rfc3339;
use everyframe_types::id::{printable, printable_json};
use everyframe_types::record::IncomingRecord as _;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  everyframe dead-letters list --camera gate-1
  everyframe dead-letters show 3/1042 --save parked/
  everyframe dead-letters replay --reason rule-timed-out --since 2h
  everyframe dead-letters drop --camera test --yes")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the frames that were parked, and why: those that are open.
    List(List),
    /// Show everything about one frame's letters.
    Show(Show),
    /// Put the frames through again, under the ids they had.
    Replay(Replay),
    /// Give the letters up: they are listed no more, and deleted as soon as none before them is open.
    Drop(Drop),
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    choice: Choice,
    /// Also those that were replayed or dropped, and when.
    #[arg(long)]
    all: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Write the frames' bytes into this folder, as PARTITION-OFFSET.frame.
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Show {
    /// Where the frame stood in the frames topic, as `list` and the audit name it.
    #[arg(value_name = "PARTITION/OFFSET", value_parser = choice::place)]
    at: Place,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Write the frame's bytes into this folder, as PARTITION-OFFSET.frame.
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Replay {
    #[command(flatten)]
    choice: Choice,
    /// Also those that were replayed before.
    #[arg(long)]
    again: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Print the counts as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
struct Drop {
    #[command(flatten)]
    choice: Choice,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Print the counts as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.action {
        Action::List(list) => {
            let config = list.connection.config()?;
            let view = View { all: list.all, json: list.json, headers: false, save: list.save.as_ref() };
            let count = view.print(&config, &list.choice)?;
            if !list.json {
                println!("dead letters: {count}");
            }
            Ok(DONE)
        }
        Action::Show(show) => {
            let config = show.connection.config()?;
            let view = View { all: true, json: show.json, headers: true, save: show.save.as_ref() };
            let count = view.print(&config, &Choice::at(show.at))?;
            if count == 0 {
                eprintln!("everyframe: there is no dead letter of frame {}", show.at);
            }
            Ok(if count > 0 { DONE } else { FAILED })
        }
        Action::Replay(Replay { choice, again, yes, json, connection }) => letter_fate::replay(
            &connection.config()?,
            choice,
            *again,
            letter_fate::Manner { yes: *yes, json: *json },
        ),
        Action::Drop(Drop { choice, yes, json, connection }) => {
            letter_fate::drop(&connection.config()?, choice, letter_fate::Manner { yes: *yes, json: *json })
        }
    }
}

/// How letters are shown.
struct View<'a> {
    /// Also those that are marked.
    all: bool,
    json: bool,
    headers: bool,
    save: Option<&'a PathBuf>,
}

impl View<'_> {
    /// Prints the letters chosen, and tells how many.
    fn print(&self, config: &Config, choice: &Choice) -> Result<u64> {
        if let Some(folder) = self.save {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let fates = choice::fates(config)?;
        let mut count = 0;
        choice.each(config, |letter| {
            if self.all || fates.get(letter.place).is_none() {
                count += 1;
                self.letter(letter, &fates)?;
            }
            Ok(())
        })?;
        Ok(count)
    }

    fn letter(&self, letter: &choice::Parked<'_>, fates: &LetterActions) -> Result<()> {
        let header = |name| letter.record.header(name).unwrap_or("?");
        let (frame, bytes) = (letter.frame, letter.record.value().unwrap_or_default());
        let parked_at = rfc3339(letter.record.timestamp());
        let fate = fates.get(letter.place);
        if self.json {
            let mut object = serde_json::json!({
                "camera": letter.camera, "reason": header(REASON), "stage": header(STAGE), "message": header(MESSAGE),
                "partition": frame.partition, "offset": frame.offset, "letter": letter.place.to_string(),
                "parkedAt": parked_at, "bytes": bytes.len(),
            });
            if let Some(partial) = &letter.partial {
                object["originalBytes"] = partial.bytes.into();
                object["originalAt"] = partial.at.to_string().into();
            }
            if let Some((fate, at)) = fate {
                object["fate"] = fate.name().into();
                object["fateAt"] = rfc3339(at).into();
            }
            if self.headers {
                let headers: serde_json::Map<_, _> =
                    letter.record.headers().map(|(name, value)| (name, value.into())).collect();
                object["headers"] = headers.into();
            }
            println!("{}", printable_json(&object.to_string()));
        } else {
            let camera = &letter.camera;
            let mut text = format!(
                "{parked_at}  {camera}  {frame}  {} bytes  {}: {}",
                bytes.len(),
                header(REASON),
                header(MESSAGE)
            );
            if let Some(Partial { bytes, at, .. }) = &letter.partial {
                text += &format!("  (of {bytes} bytes, too large to keep; the whole frame stands at {at})");
            }
            if let Some((fate, at)) = fate {
                text += &format!("  ({} {})", fate.name(), rfc3339(at));
            }
            println!("{}", printable(&text));
            if self.headers {
                println!("  letter                  {}", letter.place);
                for (name, value) in letter.record.headers() {
                    println!("  {}", printable(&format!("{name:<22}  {value}")));
                }
            }
        }
        if let Some(folder) = self.save {
            let file = folder.join(format!("{}-{}.frame", frame.partition, frame.offset));
            if letter.partial.is_some() {
                eprintln!("everyframe: {} holds only the beginning of the frame", file.display());
            }
            std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}
