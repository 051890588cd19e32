//! `everyframe accuracy`: how accurately people are recognised.

use super::DONE;
use anyhow::Result;
use everyframe_config::{Config, VisionSettings};
use everyframe_kafka::read_configuration;
use everyframe_measure::accuracy::{Accuracy, AccuracySetup, Kind, Row, measure_accuracy};
use everyframe_types::id::printable;
use std::path::{Path, PathBuf};

/// Pictures in a track if nothing else is said.
pub const USUAL_TRACK: u16 = 5;

#[derive(clap::Args)]
#[command(
    after_help = "Example: everyframe accuracy people, with people/ann/1.jpg, people/ann/2.jpg, people/bob/1.jpg …\n\
    The pictures are scaled so that the faces are 112, 56 and 28 pixels high, and searched as frames are. `docs/accuracy.md` \
    explains the figures. No broker is needed."
)]
pub struct Arguments {
    /// A folder that has a folder of pictures for each person: JPEG, PNG, WebP, or binary PGM or PPM.
    folder: PathBuf,
    /// Number of pictures in a track, for the rows `fused`.
    #[arg(long, value_name = "PICTURES", default_value_t = USUAL_TRACK, value_parser = clap::value_parser!(u16).range(2..))]
    track: u16,
    /// Configuration file for `[vision]`; without it the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let config = match &arguments.config {
        Some(file) => read_configuration(file)?.config,
        None => Config::default(),
    };
    let accuracy = measure(&arguments.folder, &config.vision, arguments.track)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&accuracy)?);
    } else {
        print(&accuracy, arguments.track);
    }
    Ok(DONE)
}

/// Measures the accuracy with tracks of `track` pictures.
pub fn measure(folder: &Path, vision: &VisionSettings, track: u16) -> Result<Accuracy> {
    let cache = super::cache_folder()?;
    Ok(measure_accuracy(&AccuracySetup { folder, vision, cache: &cache, track_length: track.into() })?)
}

/// Prints the accuracy with tracks of `track` pictures.
pub fn print(accuracy: &Accuracy, track: u16) {
    println!("{}", accuracy.models);
    println!("{} people, {} pictures; rates in percent", accuracy.people, accuracy.pictures);
    for picture in &accuracy.left_out {
        println!("left out: {}", printable(picture));
    }
    println!(
        "{:>6}  {:<10} {:>6} {:>8} {:>10} {:>7} {:>9} {:>9} {:>9} {:>7}",
        "face",
        "pictures",
        "count",
        "same",
        "different",
        "EER",
        "TAR 1e-3",
        "TAR 1e-4",
        "best 90 %",
        "rank-1"
    );
    for row in &accuracy.rows {
        let Row { face_height, kind, probes, verification, rank_1 } = row;
        let pictures = match kind {
            Kind::Single => "single".to_owned(),
            Kind::Fused => format!("fused {track}"),
            Kind::Degraded => "degraded".to_owned(),
        };
        let percent = |rate: Option<f64>, digits: usize| match rate {
            Some(rate) => format!("{rate:.digits$}"),
            None => "-".to_owned(),
        };
        println!(
            "{face_height:>3} px  {pictures:<10} {probes:>6} {:>8} {:>10} {:>7} {:>9} {:>9} {:>9} {:>7}",
            verification.same_pairs,
            verification.different_pairs,
            percent(verification.eer, 3),
            percent(verification.tar_at_far_1e3, 2),
            percent(verification.tar_at_far_1e4, 2),
            percent(verification.tar_without_worst, 2),
            percent(*rank_1, 2),
        );
    }
}
