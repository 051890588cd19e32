//! The key of a measurement: the model, the sizes of its inputs, the runtime and the processor for which it is valid.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::manifest::Manifest;
use everyframe_types::hexadecimal::hexadecimal;
use sha2::{Digest, Sha256};

/// Increased when the way of measuring changes, so that stored measurements become invalid.
const METHOD: u32 = 2;

/// The key of a model on this machine. It is readable, and differs when anything that affects speed differs.
pub(super) fn key(model: &Manifest, sizes: &[(i32, i32)], library: &Path) -> String {
    let sizes: Vec<String> = sizes.iter().map(|(width, height)| format!("{width}x{height}")).collect();
    let sums: Vec<&str> = model.variants.iter().map(|v| v.sha256.get(..12).unwrap_or(&v.sha256)).collect();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    format!(
        "{} {} | {} | {} | {} | {METHOD}",
        model.name,
        sums.join("+"),
        sizes.join("+"),
        runtime_key(library),
        processor_key(&cpuinfo)
    )
}

/// The library's path, and a hash of sizes and times of all runtime libraries in its folder: a provider may be added or removed
/// without a change of the library itself.
fn runtime_key(library: &Path) -> String {
    let folder = library.parent().unwrap_or(Path::new("."));
    let mut parts: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !["libonnxruntime", "libopenvino", "libtbb"].iter().any(|part| name.starts_with(part)) {
                return None;
            }
            let about = entry.path().metadata().ok()?;
            let changed = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(format!("{name} {} {}", about.len(), changed.as_nanos()))
        })
        .collect();
    parts.sort();
    format!("{} {}", library.display(), short_hash(&parts.join("\n")))
}

/// The processor's model name, and a hash of its features. The name is not enough: virtual machines report `AMD EPYC` with and
/// without AVX-512.
fn processor_key(cpuinfo: &str) -> String {
    let field = |names: &[&str]| {
        let line = cpuinfo.lines().find(|line| names.iter().any(|name| line.starts_with(name)));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    };
    let name = field(&["model name", "CPU part"]);
    format!(
        "{} {}",
        if name.is_empty() { std::env::consts::ARCH } else { name },
        short_hash(field(&["flags", "Features"]))
    )
}

fn short_hash(text: &str) -> String {
    hexadecimal(&Sha256::digest(text)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Kind, Manifest};

    #[test]
    fn a_processor_is_its_name_and_its_features() {
        let info = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2\n";
        let key = processor_key(info);
        assert!(key.starts_with("AMD EPYC "));
        assert_ne!(key, processor_key(&info.replace("avx2", "avx2 avx512f")));
        assert_eq!(processor_key(info), processor_key(&info.replace(": 0", ": 1")));
        assert!(processor_key("").starts_with(std::env::consts::ARCH));
    }

    #[test]
    fn other_input_sizes_have_another_key() {
        let model = Manifest::new("m", Kind::Detector);
        let key = |sizes: &[(i32, i32)]| key(&model, sizes, Path::new("/nowhere/libonnxruntime.so"));
        assert_eq!(key(&[(640, 360), (320, 180)]), key(&[(640, 360), (320, 180)]));
        assert_ne!(key(&[(640, 360), (320, 180)]), key(&[(960, 540), (480, 270)]));
    }

    #[test]
    fn a_runtime_changes_with_the_libraries_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so");
        std::fs::write(&library, "x").unwrap();
        let before = runtime_key(&library);
        std::fs::write(folder.path().join("unrelated"), "x").unwrap();
        assert_eq!(runtime_key(&library), before);
        std::fs::write(folder.path().join("libopenvino.so.1"), "x").unwrap();
        assert_ne!(runtime_key(&library), before);
    }
}
