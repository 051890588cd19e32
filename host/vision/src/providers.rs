//! Finds the fastest provider and variant of a model on this machine. The results are measured once and stored.
//!
//! The fastest one differs by model and by processor: OpenVINO in bfloat16 takes a quarter of ONNX Runtime's time for
//! SFace on a processor with AMX, while on one with only AVX2 ONNX Runtime's own provider is faster for YuNet.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::PictureError;
use super::network::Network;
use super::probe::Probe;
use everyframe_config::Provider;

/// The providers that `auto` chooses from; the first is the reference.
pub(super) const PROVIDERS: [Provider; 3] = [Provider::Cpu, Provider::Openvino, Provider::OpenvinoBf16];
/// Rounds of measuring. The shortest time counts: other load on the machine can only make it longer.
const ROUNDS: usize = 12;
/// Measuring stops after this time, but not before three rounds.
const MAX_MEASURING: Duration = Duration::from_millis(1500);
/// The time of an option must be shorter by this factor to be preferred to one nearer to the reference.
const FASTER_BY: f64 = 0.97;

/// One way to run a model, and its time on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The model file: a variant of the manifest.
    pub variant: String,
    /// The engine and its precision.
    pub provider: Provider,
    /// Time for one input on one thread: a face, or a picture, as the mean of the sizes that the detector searches. None if it
    /// does not run or its output differs.
    pub milliseconds: Option<f64>,
    /// Why it cannot be used; none if it can.
    pub refused: Option<String>,
}

/// Runs every variant with each of `providers`, the first of which is the reference, on the probe. `load` creates the network of
/// a variant, by its index.
pub(super) fn measure(
    variants: &[String],
    providers: &[Provider],
    probe: &Probe,
    load: impl Fn(usize, Provider) -> Result<Box<dyn Network>, String>,
) -> Vec<Measurement> {
    let mut reference = None;
    let mut tried = Vec::new();
    for provider in providers.iter().copied() {
        for (place, variant) in variants.iter().enumerate() {
            let answered = load(place, provider).and_then(|mut network| {
                let answers = probe.run_all(&mut *network).map_err(|e| e.to_string())?;
                probe.compare(reference.get_or_insert_with(|| answers.clone()), &answers)?;
                Ok(network)
            });
            let (network, refused) = match answered {
                Ok(network) => (Some(network), None),
                Err(reason) => (None, Some(reason)),
            };
            let measured = Measurement { variant: variant.clone(), provider, milliseconds: None, refused };
            tried.push((network, vec![f64::INFINITY; probe.inputs()], measured));
        }
    }
    let started = Instant::now();
    for round in 0..ROUNDS {
        if round >= 3 && started.elapsed() > MAX_MEASURING {
            break;
        }
        // The options take turns, so that a temporary load affects all of them.
        for (network, shortest, measured) in &mut tried {
            let Some(running) = network else { continue };
            if let Err(error) = time_once(&mut **running, probe, shortest) {
                measured.refused = Some(error.to_string());
                *network = None;
            }
        }
    }
    let finished = tried.into_iter().map(|(network, shortest, mut measured)| {
        let mean = shortest.iter().sum::<f64>() / shortest.len().max(1) as f64;
        measured.milliseconds = network.map(|_| mean);
        measured
    });
    finished.collect()
}

/// Runs a network once on each input, and keeps the shortest times in milliseconds.
fn time_once(network: &mut dyn Network, probe: &Probe, shortest: &mut [f64]) -> Result<(), PictureError> {
    for (input, shortest) in shortest.iter_mut().enumerate() {
        let begun = Instant::now();
        probe.run(network, input)?;
        *shortest = shortest.min(begun.elapsed().as_micros() as f64 / 1e3);
    }
    Ok(())
}

/// The fastest option that `wanted` allows; of nearly equal ones, the one nearer to the reference. None if there is none.
pub(super) fn choose_fastest(measured: &[Measurement], wanted: Provider) -> Option<&Measurement> {
    let allowed = measured.iter().filter(|m| wanted == Provider::Auto || m.provider == wanted);
    allowed.filter(|m| m.milliseconds.is_some()).reduce(|best, next| {
        let ahead = match (best.milliseconds, next.milliseconds) {
            (Some(best), Some(next)) => next < best * FASTER_BY,
            _ => false,
        };
        if ahead { next } else { best }
    })
}

/// The content of `providers.json`: measurements by the key of model and machine (see `machine::key`).
type Measurements = BTreeMap<String, Vec<Measurement>>;

/// The stored measurements of this key. A file that is missing or unreadable counts as empty.
pub(super) fn load_measurements(file: &Path, key: &str) -> Option<Vec<Measurement>> {
    read_file(file).remove(key)
}

/// Stores measurements. The file is replaced atomically.
pub(super) fn save_measurements(file: &Path, key: &str, measured: &[Measurement]) -> std::io::Result<()> {
    let mut remembered = read_file(file);
    remembered.insert(key.into(), measured.to_vec());
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut next = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut next, &remembered)?;
    next.flush()?;
    next.persist(file)?;
    Ok(())
}

fn read_file(file: &Path) -> Measurements {
    let text = std::fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        if !text.is_empty() {
            tracing::warn!("{} cannot be read ({error}); measuring again", file.display());
        }
        Measurements::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Kind, Manifest};
    use crate::network::{Fake, Tensor};

    fn measured(variant: &str, provider: Provider, milliseconds: Option<f64>) -> Measurement {
        Measurement { variant: variant.into(), provider, milliseconds, refused: None }
    }

    fn probe() -> Probe {
        let manifest = Manifest { dimension: Some(2), ..Manifest::new("m", Kind::Embedder) };
        Probe::new(&manifest, &[(112, 112)]).unwrap()
    }

    /// A network that returns these numbers after this time.
    fn network(values: [f32; 2], milliseconds: u64) -> Box<dyn Network> {
        Fake::boxed(move |_| {
            std::thread::sleep(Duration::from_millis(milliseconds));
            vec![Tensor { name: "fc1".into(), values: values.to_vec() }]
        })
    }

    #[test]
    fn options_that_fail_or_differ_are_refused() {
        let variants = ["a".to_string(), "b".to_string()];
        let measured = measure(&variants, &PROVIDERS, &probe(), |place, provider| match (place, provider) {
            (0, Provider::Cpu) => Ok(network([1.0, 0.0], 4)),
            (1, Provider::Cpu) => Ok(network([1.0, 0.01], 1)),
            (_, Provider::Openvino) => Err("no such library".into()),
            _ => Ok(network([0.0, 1.0], 0)),
        });
        let all: Vec<_> = measured.iter().map(|m| (m.variant.as_str(), m.provider)).collect();
        assert_eq!(all[0], ("a", Provider::Cpu));
        assert_eq!(all.len(), 6);
        assert_eq!(choose_fastest(&measured, Provider::Auto).map(|m| m.variant.as_str()), Some("b"));
        let refused = |i: usize| measured[i].refused.clone().unwrap_or_default();
        assert!(refused(2).contains("no such library"));
        assert!(refused(4).contains("cosine"));
        assert!(measured[4].milliseconds.is_none(), "a wrong output is not timed, however fast");
    }

    #[test]
    fn the_fastest_allowed_option_is_chosen() {
        let all = [
            measured("a", Provider::Cpu, Some(10.0)),
            measured("b", Provider::Cpu, Some(9.9)),
            measured("a", Provider::Openvino, Some(8.0)),
            measured("b", Provider::OpenvinoBf16, None),
        ];
        assert_eq!(choose_fastest(&all, Provider::Auto), Some(&all[2]));
        assert_eq!(choose_fastest(&all, Provider::Cpu), Some(&all[0]), "a near tie goes to the reference");
        assert_eq!(choose_fastest(&all, Provider::OpenvinoBf16), None);
    }

    #[test]
    fn measurements_are_stored_by_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new").join("providers.json");
        let (one, other) =
            ([measured("a", Provider::Cpu, Some(1.0))], [measured("b", Provider::OpenvinoBf16, None)]);
        save_measurements(&file, "one", &one).unwrap();
        save_measurements(&file, "other", &other).unwrap();
        assert_eq!(load_measurements(&file, "one").as_deref(), Some(&one[..]));
        assert_eq!(load_measurements(&file, "other").as_deref(), Some(&other[..]));
        assert_eq!(load_measurements(&file, "third"), None);
    }

    #[test]
    fn a_broken_file_counts_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("providers.json");
        for broken in ["{\"one\": [{", "[1, 2]", "\u{0}"] {
            std::fs::write(&file, broken).unwrap();
            assert_eq!(load_measurements(&file, "one"), None);
            save_measurements(&file, "one", &[]).unwrap();
            assert_eq!(load_measurements(&file, "one"), Some(Vec::new()));
        }
    }
}
