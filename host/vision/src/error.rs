//! What can go wrong before the first frame.

use std::path::PathBuf;
use std::time::Duration;

/// Why vision can't start. All of these are for the person who starts the host; none concerns a frame.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// There is no file at the place where ONNX Runtime was looked for.
    #[error(
        "no ONNX Runtime library found at {path}; run `make setup`, set [vision] onnxruntime, or ORT_DYLIB_PATH"
    )]
    NoRuntime {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there, but is no ONNX Runtime that can be used.
    #[error(
        "ONNX Runtime at {path} can't be used: {reason}; run `make setup` again, or name another by [vision] onnxruntime"
    )]
    Runtime {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// A process holds one ONNX Runtime for its whole life.
    #[error("this process already runs ONNX Runtime from {loaded} and can't load {wanted}; restart it")]
    OtherRuntime {
        /// The one in use.
        loaded: PathBuf,
        /// The one now asked for.
        wanted: PathBuf,
    },
    /// There is no manifest of that name.
    #[error("no model `{name}`: {path} does not exist; run `make setup`, or choose one of: {known}")]
    NoModel {
        /// The name in the TOML.
        name: String,
        /// Where the manifest should be.
        path: PathBuf,
        /// The names of the manifests beside it.
        known: String,
    },
    /// A manifest can't be read, or says what can't be.
    #[error("model manifest {path}: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A model file is not the one its manifest describes.
    #[error(
        "{path} has sha256 {found}, but its manifest says {expected}: it is damaged or another model; \
         delete it and run `make setup`"
    )]
    Checksum {
        /// The model file.
        path: PathBuf,
        /// The manifest's.
        expected: String,
        /// The file's.
        found: String,
    },
    /// The model does not run with the provider that was asked for, or with none.
    #[error(
        "model `{model}` does not run with provider `{provider}`: {reason}; run `make setup` again, or set another \
         `provider` (`auto` takes the fastest that runs)"
    )]
    Provider {
        /// The model's name.
        model: String,
        /// The one asked for, as the TOML writes it.
        provider: &'static str,
        /// What each try answered.
        reason: String,
    },
    /// OpenCV refused something which does not depend on any picture.
    #[error("OpenCV: {0}; is the OpenCV of this system complete? run `make setup`")]
    OpenCv(#[from] opencv::Error),
}

/// Why a picture gives no detections or embeddings.
///
/// All but [`PictureError::Inference`] are the picture's own fault: trying again gives the same answer, so the
/// frame is parked. An inference failure is the host's fault: the same frame may well succeed later, or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// No bytes at all.
    #[error("the picture has no bytes")]
    Empty,
    /// The first bytes are those of no JPEG, PNG or WebP.
    #[error("not a JPEG, PNG or WebP picture")]
    NotAPicture,
    /// The bytes end before the picture does.
    #[error("the picture is cut off: data are missing at its end")]
    Truncated,
    /// The header announces more pixels than `[vision] max_pixels`; nothing was decoded.
    #[error("the picture has {width} × {height} pixels, more than [vision] max_pixels = {limit}")]
    TooLarge {
        /// Pixels, as the header says.
        width: u32,
        /// Pixels, as the header says.
        height: u32,
        /// `[vision] max_pixels`.
        limit: u64,
    },
    /// Coded data within the picture are missing or wrong: a part of it would be grey, or in the wrong place.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// A progressive JPEG has too many scans. Each costs a pass over all pixels, however few bytes it has.
    #[error("the picture has more than {limit} scans; send baseline JPEG, or progressive JPEG with fewer")]
    TooManyScans {
        /// The most scans.
        limit: u32,
    },
    /// Decoding took longer than `[vision] max_decode_ms`.
    #[error("decoding the picture takes longer than [vision] max_decode_ms = {}", limit.as_millis())]
    TooSlow {
        /// `[vision] max_decode_ms`.
        limit: Duration,
    },
    /// It begins like a picture, but the decoder can't read it.
    #[error("the picture can't be decoded: {0}")]
    Undecodable(String),
    /// A model failed on a good picture.
    #[error("inference failed: {0}")]
    Inference(String),
}

impl PictureError {
    /// A stable name for machines: dead-letter headers and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotAPicture => "not-a-picture",
            Self::Truncated => "truncated",
            Self::TooLarge { .. } => "too-large",
            Self::Damaged(_) => "damaged",
            Self::TooManyScans { .. } => "too-many-scans",
            Self::TooSlow { .. } => "too-slow",
            Self::Undecodable(_) => "undecodable",
            Self::Inference(_) => "inference",
        }
    }

    /// Whether it is the host's fault rather than the picture's, so that another try may help.
    pub fn is_hosts_fault(&self) -> bool {
        matches!(self, Self::Inference(_))
    }
}
