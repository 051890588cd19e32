//! `everyframe camera`

use super::{Connection, DONE, FAILED};
use crate::camera::{Agent, Source};
use crate::kafka::{Producer, ensure};
use anyhow::Result;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    everyframe camera --id gate-1 rtsp://10.0.0.7/stream\n  \
    everyframe camera --id test --rate 10 --loop clip.mp4\n  \
    everyframe camera --id door --brokers kafka-1:9092 /dev/video0")]
pub struct Arguments {
    /// A video file, a folder of pictures, a device (`0`, `/dev/video0`), or an rtsp:// or http:// address.
    source: String,
    /// The camera's id: the key of its frames.
    #[arg(long)]
    id: String,
    /// Frames per second; without it as fast as the source gives them.
    #[arg(long, value_name = "FPS", value_parser = rate)]
    rate: Option<f64>,
    /// Start over at the end of a file or folder.
    #[arg(long = "loop")]
    repeat: bool,
    /// JPEG quality.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i32).range(1..=100))]
    quality: i32,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(arguments: Arguments) -> Result<u8> {
    let config = arguments.connection.config()?;
    let mut source = Source::open(&arguments.source, arguments.quality)?;
    let runtime = super::runtime()?;
    let stop = super::stop_on_signal(&runtime);
    runtime.block_on(ensure(&config))?;
    let producer = Producer::new(&config.kafka)?;
    let agent = Agent {
        camera: arguments.id,
        topic: config.topics.frames,
        rate: arguments.rate,
        repeat: arguments.repeat,
    };
    let tally = agent.run(&mut source, &producer, &stop)?;
    println!("{}: {} frames read · {} acknowledged", agent.camera, tally.read, tally.acknowledged);
    if let Some(refused) = &tally.refused {
        eprintln!("everyframe: {refused}");
    }
    Ok(if tally.read == tally.acknowledged { DONE } else { FAILED })
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("give frames per second from 0.01 to 1000".into()),
    }
}
