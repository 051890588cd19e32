//! `everyframe model`

use super::accuracy::{self, USUAL_TRACK};
use super::{Connection, DONE, FAILED, WrongInput};
use anyhow::{Context as _, Result};
use everyframe_vision::{
    Channels, ImportOptions, Kind, Measurement, ModelEntry, ModelInUse, Vision, import_model,
    list_model_entries, measure_detection, models_folder,
};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Import an ONNX model: repair it, compare it with the original on real faces, write its manifest.
    Import(Import),
    /// List the models of the models' folder, each with its fastest provider on this machine.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Measure the configured models: speed and agreement of all providers, detection rate and accuracy on a folder of people.
    Check {
        /// A folder of pictures. For the accuracy it has a folder for each person.
        folder: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(clap::Args)]
#[command(
    after_help = "Detectors: YuNet, SCRFD and RetinaFace, with five landmarks. Embedders: aligned faces of 112 × 112 \
    pixels. Input and outputs are recognised; --channels, --mean and --scale override what is usual for the model's \
    family.\n\n\
    Example:\n  everyframe model import w600k.onnx --kind embedder --licence LicenseRef-NC --source https://example.org/"
)]
struct Import {
    /// The ONNX file.
    file: PathBuf,
    /// What the model computes.
    #[arg(long, value_enum)]
    kind: KindName,
    /// The model's name in the configuration; the file's name if not given.
    #[arg(long)]
    name: Option<String>,
    /// The models' folder; that of the configuration if not given.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// The licence, an SPDX expression.
    #[arg(long, default_value = "unknown")]
    licence: String,
    /// Where the model comes from.
    #[arg(long, default_value = "unknown")]
    source: String,
    /// The order of the colour planes.
    #[arg(long, value_enum)]
    channels: Option<ChannelsName>,
    /// What is subtracted from the pixels of each plane: one number, or three with commas. Needs --scale.
    #[arg(long, value_delimiter = ',', requires = "scale", allow_negative_numbers = true)]
    mean: Vec<f32>,
    /// What the difference is multiplied by. Needs --mean.
    #[arg(long, requires = "mean")]
    scale: Option<f32>,
    /// Declare this version of the operator set, if the file declares a newer one than its operators need.
    #[arg(long)]
    opset: Option<i64>,
    /// A folder of pictures with faces, on which the model is compared; the stills of `make setup` if not given.
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum KindName {
    Detector,
    Embedder,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ChannelsName {
    Rgb,
    Bgr,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.command {
        Command::Import(import) => run_import(import),
        Command::List { connection } => run_list(connection),
        Command::Check { folder, connection } => run_check(folder, connection),
    }
}

fn run_import(arguments: &Import) -> Result<u8> {
    let settings = arguments.connection.config()?.vision;
    let cache = super::cache_folder()?;
    let into = arguments.into.clone().unwrap_or_else(|| models_folder(&settings, &cache));
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => arguments.file.file_stem().context("the file has no name")?.to_string_lossy().into_owned(),
    };
    if Path::new(&name).file_name().is_none_or(|file| file != name.as_str()) {
        return Err(WrongInput(format!("--name `{name}` must be a file name, without a folder")).into());
    }
    let options = ImportOptions {
        name: name.clone(),
        kind: match arguments.kind {
            KindName::Detector => Kind::Detector,
            KindName::Embedder => Kind::Embedder,
        },
        licence: arguments.licence.clone(),
        source: arguments.source.clone(),
        channels: arguments.channels.map(|channels| match channels {
            ChannelsName::Rgb => Channels::Rgb,
            ChannelsName::Bgr => Channels::Bgr,
        }),
        normalisation: parse_normalisation(&arguments.mean, arguments.scale)?,
        opset: arguments.opset,
    };
    let pictures = arguments.pictures.clone().unwrap_or_else(|| cache.join("stills"));
    let report = import_model(&settings, &cache, &arguments.file, &options, (&into, &pictures))?;
    let repairs = &report.repairs;
    println!(
        "repaired: {} quantised constants folded, {} stale inputs removed, {} reshapes freed",
        repairs.folded, repairs.stale_inputs, repairs.freed_reshapes
    );
    match (&report.original_refused, report.least_cosine) {
        (Some(reason), _) => println!(
            "NOT compared with the original, which ONNX Runtime does not run ({reason}); the variants agree on {} faces",
            report.faces
        ),
        (None, Some(least)) => {
            println!("agrees with the original on {} faces, least cosine {least:.6}", report.faces);
        }
        (None, None) => println!("agrees with the original on {} faces", report.faces),
    }
    println!("wrote {}:\n\n{}", report.manifest.display(), report.text);
    let table = match arguments.kind {
        KindName::Detector => "vision.detector",
        KindName::Embedder => "vision.embedder",
    };
    println!("use it with [{table}] model = \"{name}\"");
    if matches!(arguments.kind, KindName::Embedder) {
        println!(
            "people who were enrolled with another embedder are not recognised with it: see `everyframe gallery migrate`"
        );
    }
    Ok(DONE)
}

/// Mean and scale of the command line; none if they are not given.
fn parse_normalisation(mean: &[f32], scale: Option<f32>) -> Result<Option<([f32; 3], f32)>> {
    let Some(scale) = scale else { return Ok(None) };
    match *mean {
        [mean] => Ok(Some(([mean; 3], scale))),
        [first, second, third] => Ok(Some(([first, second, third], scale))),
        _ => Err(WrongInput(format!("--mean takes one number or three, not {}", mean.len())).into()),
    }
}

fn run_list(connection: &Connection) -> Result<u8> {
    let settings = connection.config()?.vision;
    let entries = list_model_entries(&settings, &super::cache_folder()?)?;
    if entries.is_empty() {
        println!("no models; `make setup` fetches two, and `everyframe model import` adds others");
    }
    let mut failed = false;
    for entry in &entries {
        println!("{}", entry_line(entry));
        failed |= entry.state.is_err();
    }
    Ok(if failed { FAILED } else { DONE })
}

/// A line of the list: name, kind, licence, provider, time; a star marks a configured model.
fn entry_line(entry: &ModelEntry) -> String {
    let star = if entry.configured { '*' } else { ' ' };
    let kind = match entry.kind {
        Some(Kind::Detector) => "detector",
        Some(Kind::Embedder) => "embedder",
        None => "unknown",
    };
    let name = &entry.name;
    match &entry.state {
        Ok(model) => {
            let chosen = |m: &&Measurement| m.variant == model.variant && m.provider == model.provider;
            let time = model.measured.iter().find(chosen).and_then(|m| m.milliseconds);
            let time = time.map_or(String::new(), |ms| format!("{ms:.1} ms"));
            format!("{star} {name:<24} {kind}  {:<20} {:<14} {time}", model.licence, model.provider)
        }
        Err(error) => format!("{star} {name:<24} {kind}  cannot be used: {error}"),
    }
}

fn run_check(folder: &Path, connection: &Connection) -> Result<u8> {
    let settings = connection.config()?.vision;
    let vision = Vision::load(&settings, &super::cache_folder()?)?;
    let models = vision.models();
    print_measurements("detector", &models.detector);
    print_measurements("embedder", &models.embedder);
    let rate = measure_detection(&vision, folder)?;
    let found = rate.one_face + rate.several_faces;
    println!(
        "{}: {} pictures, with a face {found}, with several {}, faces embedded {}",
        folder.display(),
        rate.pictures,
        rate.several_faces,
        rate.embedded
    );
    rate.without_face.iter().for_each(|path| println!("no face found in {}", path.display()));
    rate.refused.iter().for_each(|(path, error)| println!("{}: {error}", path.display()));
    match accuracy::measure(folder, &settings, USUAL_TRACK) {
        Ok(measured) => accuracy::print(&measured, USUAL_TRACK),
        Err(error) => println!("accuracy not measured: {error}"),
    }
    Ok(if rate.pictures > 0 && found == rate.pictures && rate.refused.is_empty() { DONE } else { FAILED })
}

fn print_measurements(kind: &str, model: &ModelInUse) {
    println!("{kind} {}, {}, sha256 {}", model.name, model.licence, model.sha256);
    for measured in &model.measured {
        let chosen = measured.variant == model.variant && measured.provider == model.provider;
        let result = match (measured.milliseconds, &measured.refused) {
            (Some(ms), _) => format!("{ms:.2} ms, agrees with the reference"),
            (None, reason) => format!("refused: {}", reason.as_deref().unwrap_or("no answer")),
        };
        let star = if chosen { '*' } else { ' ' };
        println!("{star} {:<32} {:<14} {result}", measured.variant, measured.provider);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_one_number_or_three() {
        assert_eq!(parse_normalisation(&[], None).unwrap(), None);
        assert_eq!(parse_normalisation(&[127.5], Some(0.5)).unwrap(), Some(([127.5; 3], 0.5)));
        assert_eq!(parse_normalisation(&[1., 2., 3.], Some(1.)).unwrap(), Some(([1., 2., 3.], 1.)));
        assert!(parse_normalisation(&[1., 2.], Some(1.)).is_err());
    }
}
