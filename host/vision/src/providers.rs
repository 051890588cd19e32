//! Which way to run a model is fastest on this machine: measured once, compared, remembered.
//!
//! The best one differs by model and by processor: OpenVINO in bfloat16 takes a quarter of ONNX Runtime's time for
//! SFace on a processor with AMX, while on one with AVX2 only ONNX Runtime's own is ahead for YuNet.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::probe::Probe;
use everyframe_config::Provider;

/// All that may be tried, the reference first.
const PROVIDERS: [Provider; 3] = [Provider::Cpu, Provider::Openvino, Provider::OpenvinoBf16];
/// The least of this many rounds counts: what else runs on the machine can only add to a time.
const ROUNDS: usize = 12;
/// No more rounds after this long, but at least three.
const PATIENCE: Duration = Duration::from_millis(1500);
/// An option must be faster by this factor to be preferred to one nearer to the reference.
const CLEARLY: f64 = 0.97;

/// As the TOML writes it.
pub(super) fn name(provider: Provider) -> &'static str {
    match provider {
        Provider::Auto => "auto",
        Provider::Cpu => "cpu",
        Provider::Openvino => "openvino",
        Provider::OpenvinoBf16 => "openvino-bf16",
    }
}

/// One way to run a model, and how it did on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The model file, one of the manifest's exact rewrites.
    pub variant: String,
    /// The engine and its precision.
    pub provider: Provider,
    /// One input (a 640 × 384 picture, or one face) on one thread; none if it does not run or its answer differs.
    pub milliseconds: Option<f64>,
    /// Why it is no option.
    pub refused: Option<String>,
}

/// Runs every variant with every provider on the probe. `load` makes the network of a variant, by its place.
pub(super) fn measure(
    variants: &[String],
    probe: &Probe,
    load: impl Fn(usize, Provider) -> Result<Box<dyn Network>, String>,
) -> Vec<Measured> {
    let mut reference = None;
    let mut tried = Vec::new();
    for provider in PROVIDERS {
        for (place, variant) in variants.iter().enumerate() {
            let answered = load(place, provider).and_then(|mut network| {
                let answer = probe.ask(&mut *network).map_err(|e| e.to_string())?;
                probe.agree(reference.get_or_insert_with(|| answer.clone()), &answer)?;
                Ok(network)
            });
            let (network, refused) = match answered {
                Ok(network) => (Some(network), None),
                Err(reason) => (None, Some(reason)),
            };
            tried.push((
                network,
                Measured { variant: variant.clone(), provider, milliseconds: None, refused },
            ));
        }
    }
    let started = Instant::now();
    for round in 0..ROUNDS {
        if round >= 3 && started.elapsed() > PATIENCE {
            break;
        }
        // In turns, so that what disturbs the machine for a while disturbs all.
        for (network, measured) in &mut tried {
            let Some(running) = network else { continue };
            let begun = Instant::now();
            match probe.ask(&mut **running) {
                Ok(_) => {
                    let took = begun.elapsed().as_micros() as f64 / 1e3;
                    let least = measured.milliseconds.map_or(took, |least| least.min(took));
                    measured.milliseconds = Some(least);
                }
                Err(error) => {
                    measured.milliseconds = None;
                    measured.refused = Some(error.to_string());
                    *network = None;
                }
            }
        }
    }
    tried.into_iter().map(|(_, measured)| measured).collect()
}

/// The fastest that `wanted` allows; near ties go to the one nearer to the reference. None if there is none.
pub(super) fn choose(measured: &[Measured], wanted: Provider) -> Option<&Measured> {
    let allowed = measured.iter().filter(|m| wanted == Provider::Auto || m.provider == wanted);
    allowed.filter(|m| m.milliseconds.is_some()).reduce(|best, next| {
        let ahead = match (best.milliseconds, next.milliseconds) {
            (Some(best), Some(next)) => next < best * CLEARLY,
            _ => false,
        };
        if ahead { next } else { best }
    })
}

/// What was measured on which machine, by key: `providers.json`.
type Remembered = BTreeMap<String, Vec<Measured>>;

/// What was measured before under this key. A file that is missing or can't be read holds nothing.
pub(super) fn recall(file: &Path, key: &str) -> Option<Vec<Measured>> {
    read(file).remove(key)
}

/// Remembers what was measured. Whoever reads the file meanwhile sees the old or the new one, whole.
pub(super) fn remember(file: &Path, key: &str, measured: &[Measured]) -> std::io::Result<()> {
    let mut remembered = read(file);
    remembered.insert(key.into(), measured.to_vec());
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut next = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut next, &remembered)?;
    next.flush()?;
    next.persist(file)?;
    Ok(())
}

fn read(file: &Path) -> Remembered {
    let text = std::fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        if !text.is_empty() {
            tracing::warn!("{} can't be read ({error}); measuring again", file.display());
        }
        Remembered::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Channels, Kind, Manifest};
    use crate::network::{Fake, Tensor};

    fn measured(variant: &str, provider: Provider, milliseconds: Option<f64>) -> Measured {
        Measured { variant: variant.into(), provider, milliseconds, refused: None }
    }

    fn probe() -> Probe {
        let manifest = Manifest {
            name: "m".into(),
            kind: Kind::Embedder,
            licence: String::new(),
            source: String::new(),
            input: "data".into(),
            channels: Channels::Rgb,
            dimension: Some(2),
            variants: Vec::new(),
        };
        Probe::new(&manifest).unwrap()
    }

    /// A network that answers with these numbers after that time.
    fn network(values: [f32; 2], milliseconds: u64) -> Box<dyn Network> {
        Fake::boxed(move |_| {
            std::thread::sleep(Duration::from_millis(milliseconds));
            vec![Tensor { name: "fc1".into(), values: values.to_vec() }]
        })
    }

    #[test]
    fn what_fails_or_answers_otherwise_is_no_option_and_says_why() {
        let variants = ["a".to_string(), "b".to_string()];
        let measured = measure(&variants, &probe(), |place, provider| match (place, provider) {
            (0, Provider::Cpu) => Ok(network([1.0, 0.0], 4)),
            (1, Provider::Cpu) => Ok(network([1.0, 0.01], 1)),
            (_, Provider::Openvino) => Err("no such library".into()),
            _ => Ok(network([0.0, 1.0], 0)),
        });
        let all: Vec<_> = measured.iter().map(|m| (m.variant.as_str(), m.provider)).collect();
        assert_eq!(all[0], ("a", Provider::Cpu));
        assert_eq!(all.len(), 6);
        assert_eq!(choose(&measured, Provider::Auto).map(|m| m.variant.as_str()), Some("b"));
        let refused = |i: usize| measured[i].refused.clone().unwrap_or_default();
        assert!(refused(2).contains("no such library"));
        assert!(refused(4).contains("cosine"));
        assert!(measured[4].milliseconds.is_none(), "a wrong answer is not timed, however fast");
    }

    #[test]
    fn a_provider_is_named_as_the_toml_names_it() {
        for provider in [Provider::Auto].into_iter().chain(PROVIDERS) {
            assert_eq!(serde_json::to_value(provider).unwrap(), name(provider));
        }
    }

    #[test]
    fn the_fastest_is_chosen_among_what_is_allowed() {
        let all = [
            measured("a", Provider::Cpu, Some(10.0)),
            measured("b", Provider::Cpu, Some(9.9)),
            measured("a", Provider::Openvino, Some(8.0)),
            measured("b", Provider::OpenvinoBf16, None),
        ];
        assert_eq!(choose(&all, Provider::Auto), Some(&all[2]));
        assert_eq!(choose(&all, Provider::Cpu), Some(&all[0]), "a near tie goes to the reference");
        assert_eq!(choose(&all, Provider::OpenvinoBf16), None);
    }

    #[test]
    fn what_was_measured_is_recalled_by_its_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new").join("providers.json");
        let (one, other) =
            ([measured("a", Provider::Cpu, Some(1.0))], [measured("b", Provider::OpenvinoBf16, None)]);
        remember(&file, "one", &one).unwrap();
        remember(&file, "other", &other).unwrap();
        assert_eq!(recall(&file, "one").as_deref(), Some(&one[..]));
        assert_eq!(recall(&file, "other").as_deref(), Some(&other[..]));
        assert_eq!(recall(&file, "third"), None);
    }

    #[test]
    fn a_broken_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("providers.json");
        for broken in ["{\"one\": [{", "[1, 2]", "\u{0}"] {
            std::fs::write(&file, broken).unwrap();
            assert_eq!(recall(&file, "one"), None);
            remember(&file, "one", &[]).unwrap();
            assert_eq!(recall(&file, "one"), Some(Vec::new()));
        }
    }
}
