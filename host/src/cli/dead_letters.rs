//! `everyframe dead-letters`

use super::narrate::printable;
use super::{Connection, DONE};
use crate::event::rfc3339;
use crate::kafka::Reader;
use crate::publish::{MESSAGE, OFFSET, PARTITION, REASON, STAGE};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Example: everyframe dead-letters --camera gate-1 --save parked/")]
pub struct Arguments {
    /// Only of this camera.
    #[arg(long, value_name = "ID")]
    camera: Option<String>,
    /// Only those parked for this reason: `truncated`, `rule-timed-out`, …
    #[arg(long)]
    reason: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Write the frames' bytes into this folder, as PARTITION-OFFSET.frame.
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let config = arguments.connection.config()?;
    if let Some(folder) = &arguments.save {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut reader = Reader::from_start(&config.kafka, &config.topics.dead_letters)?;
    let mut count = 0u64;
    while let Some(record) = reader.next()? {
        let header = |name| record.header(name).unwrap_or("?");
        let camera = crate::intake::camera(record.key(), record.partition());
        let (reason, bytes) = (header(REASON), record.value().unwrap_or_default());
        let wanted = |given: &Option<String>, is: &str| given.as_deref().is_none_or(|given| given == is);
        if !wanted(&arguments.camera, &camera) || !wanted(&arguments.reason, reason) {
            continue;
        }
        count += 1;
        let (partition, offset) = (header(PARTITION), header(OFFSET));
        if arguments.json {
            let letter = serde_json::json!({
                "camera": camera, "reason": reason, "stage": header(STAGE), "message": header(MESSAGE),
                "partition": partition.parse::<i32>().ok(), "offset": offset.parse::<i64>().ok(),
                "parkedAt": rfc3339(record.timestamp()), "bytes": bytes.len(),
            });
            println!("{letter}");
        } else {
            let (time, message) = (rfc3339(record.timestamp()), header(MESSAGE));
            let text =
                format!("{time}  {camera}  {partition}/{offset}  {} bytes  {reason}: {message}", bytes.len());
            println!("{}", printable(&text));
        }
        if let (Some(folder), Ok(partition), Ok(offset)) =
            (&arguments.save, partition.parse::<i32>(), offset.parse::<i64>())
        {
            let file = folder.join(format!("{partition}-{offset}.frame"));
            std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    if !arguments.json {
        println!("dead letters: {count}");
    }
    Ok(DONE)
}
