//! `everyframe dead-letters`

use super::ask::confirm;
use super::{Connection, DONE, FAILED, WRONG_INPUT, when};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use everyframe_account::dead_letters::{DeadLetter, Filter, Selection, read_actions};
use everyframe_config::Config;
use everyframe_types::dead_letter::{LetterActions, MESSAGE, Partial, Place, REASON, STAGE};
use everyframe_types::event::rfc3339;
use everyframe_types::id::{self, printable, printable_json};
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
    /// List the parked frames that were neither replayed nor dropped, with the reason.
    List(List),
    /// Show everything about the dead letters of one frame.
    Show(Show),
    /// Write the frames to the frames topic again; their results get the ids of the original frames.
    Replay(Replay),
    /// Mark dead letters as not needed. They are no longer listed, and are deleted once no open one precedes them.
    Drop(Drop),
}

/// Which dead letters a command is about. A dead letter must meet all conditions that are given.
#[derive(clap::Args, Clone, Default)]
struct Choice {
    /// Only of this camera.
    #[arg(long, value_name = "ID", value_parser = clean_camera_id)]
    camera: Option<String>,
    /// Only those parked for this reason: `truncated`, `rule-timed-out`, …
    #[arg(long)]
    reason: Option<String>,
    /// Only those parked since: a duration back from now (2h, 30m) or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    since: Option<i64>,
    /// Only those parked before: the same.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    until: Option<i64>,
    /// Only of the frame with this partition and offset in the frames topic.
    #[arg(long, value_name = "PARTITION/OFFSET", value_parser = place)]
    at: Option<Place>,
}

impl Choice {
    fn filter(&self) -> Filter {
        let Self { camera, reason, since, until, at } = self.clone();
        Filter { camera, reason, since, until, frames: at.into_iter().collect() }
    }
}

/// A camera's id from the command line, made valid in the same way as a record's key, so that it finds the camera.
pub fn clean_camera_id(text: &str) -> Result<String, String> {
    Some(id::clean(text)).filter(|id| !id.is_empty()).ok_or_else(|| "give the id of a camera".into())
}

fn place(text: &str) -> Result<Place, String> {
    Place::parse(text).ok_or_else(|| "give partition and offset of the frame, such as 3/1042".into())
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
    /// The frame's partition and offset in the frames topic, as `list` and `audit` show them.
    #[arg(value_name = "PARTITION/OFFSET", value_parser = place)]
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
            let count = view.print(&config, &list.choice.filter())?;
            if !list.json {
                println!("dead letters: {count}");
            }
            Ok(DONE)
        }
        Action::Show(show) => {
            let config = show.connection.config()?;
            let view = View { all: true, json: show.json, headers: true, save: show.save.as_ref() };
            let count = view.print(&config, &Filter::of_frames([show.at]))?;
            if count == 0 {
                eprintln!("everyframe: there is no dead letter of frame {}", show.at);
            }
            Ok(if count > 0 { DONE } else { FAILED })
        }
        Action::Replay(Replay { choice, again, yes, json, connection }) => {
            let (config, filter) = (connection.config()?, choice.filter());
            let selection = Selection::to_replay(&config, &filter, *again)?;
            apply(&selection, "replayed", *yes, *json, |letters, bytes| {
                format!("put {letters} parked frames ({bytes} bytes) through again")
            })
        }
        Action::Drop(Drop { choice, yes, json, connection }) => {
            let (config, filter) = (connection.config()?, choice.filter());
            let selection = Selection::to_drop(&config, &filter)?;
            apply(&selection, "dropped", *yes, *json, |letters, bytes| {
                format!("drop {letters} dead letters ({bytes} bytes) for good")
            })
        }
    }
}

/// Asks on a terminal, applies the action and prints what was done.
fn apply(
    selection: &Selection<'_>,
    done: &str,
    yes: bool,
    json: bool,
    question: impl Fn(u64, usize) -> String,
) -> Result<u8> {
    let (letters, bytes) = selection.count()?;
    if letters > 0 && !yes {
        let question = question(letters, bytes);
        match confirm(&question)? {
            Some(true) => {}
            Some(false) => return Ok(FAILED),
            None => {
                eprintln!("everyframe: {question}? Standard input is not a terminal; pass --yes to confirm");
                return Ok(WRONG_INPUT);
            }
        }
    }
    let report = selection.apply()?;
    for (frame, why) in &report.failed {
        eprintln!("everyframe: frame {frame} is not replayed: {why}");
    }
    let (frames, marked, deleted) = (report.frames, report.marked, report.deleted);
    if json {
        println!("{}", serde_json::json!({ done: frames, "letters": marked, "deleted": deleted }));
    } else {
        println!("{done}: {frames} frames, {marked} dead letters marked, {deleted} records deleted");
    }
    Ok(if report.failed.is_empty() { DONE } else { FAILED })
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
    /// Prints the selected dead letters, and returns how many.
    fn print(&self, config: &Config, filter: &Filter) -> Result<u64> {
        if let Some(folder) = self.save {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let actions = read_actions(config)?;
        let mut count = 0;
        filter.for_each(config, |letter| -> Result<()> {
            if self.all || actions.get(letter.place).is_none() {
                count += 1;
                self.print_letter(letter, &actions)?;
            }
            Ok(())
        })?;
        Ok(count)
    }

    fn print_letter(&self, letter: &DeadLetter<'_>, actions: &LetterActions) -> Result<()> {
        let header = |name| letter.record.header(name).unwrap_or("?");
        let (frame, bytes) = (letter.frame, letter.record.value().unwrap_or_default());
        let parked_at = rfc3339(letter.record.timestamp());
        let fate = actions.get(letter.place);
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
