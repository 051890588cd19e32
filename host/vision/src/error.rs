//! The errors of vision: when it is loaded, and for a single picture.

use std::path::PathBuf;
use std::time::Duration;

use everyframe_config::Provider;

/// Why vision cannot be loaded. Each message tells the person who starts the host what to do.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// The ONNX Runtime library does not exist.
    #[error(
        "no ONNX Runtime library found at {path}; run `make setup`, set [vision] onnxruntime, or ORT_DYLIB_PATH"
    )]
    NoRuntime {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The file exists, but is not a usable ONNX Runtime library.
    #[error(
        "ONNX Runtime at {path} cannot be used: {reason}; run `make setup` again, or set [vision] onnxruntime to another library"
    )]
    Runtime {
        /// The library.
        path: PathBuf,
        /// The loader's message.
        reason: String,
    },
    /// A process can load only one ONNX Runtime.
    #[error(
        "this process has already loaded ONNX Runtime from {loaded} and cannot load {wanted}; restart it"
    )]
    OtherRuntime {
        /// The loaded library.
        loaded: PathBuf,
        /// The requested library.
        wanted: PathBuf,
    },
    /// There is no manifest of that name.
    #[error("no model `{name}`: {path} does not exist; run `make setup`, or choose one of: {known}")]
    NoModel {
        /// The name in the TOML.
        name: String,
        /// The expected path of the manifest.
        path: PathBuf,
        /// The names of the manifests in the same folder.
        known: String,
    },
    /// A manifest cannot be read, or is invalid.
    #[error("model manifest {path}: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A model file differs from its manifest.
    #[error(
        "{path} has sha256 {found}, but its manifest says {expected}: it is damaged or another model; \
         delete it and run `make setup`"
    )]
    Checksum {
        /// The model file.
        path: PathBuf,
        /// The SHA-256 in the manifest, hexadecimal.
        expected: String,
        /// The SHA-256 of the file, hexadecimal.
        found: String,
    },
    /// The model does not run with the configured provider, or with any provider.
    #[error(
        "model `{model}` does not run with provider `{provider}`: {reason}; run `make setup` again, or set another \
         `provider` (`auto` takes the fastest that runs)"
    )]
    Provider {
        /// The model's name.
        model: String,
        /// The configured provider, as in the TOML.
        provider: Provider,
        /// The result of each attempt.
        reason: String,
    },
    /// OpenCV failed, independently of any picture.
    #[error("OpenCV: {0}; is the OpenCV of this system complete? run `make setup`")]
    OpenCv(#[from] opencv::Error),
}

/// Why a picture gives no detections or embeddings.
///
/// All but [`PictureError::Inference`] are faults of the picture: a retry gives the same error, so park the frame. An inference
/// error is a fault of the host: the frame may succeed later, or on another host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The picture has no bytes.
    #[error("the picture has no bytes")]
    Empty,
    /// The bytes do not begin like a JPEG, PNG or WebP.
    #[error("not a JPEG, PNG or WebP picture")]
    NotAPicture,
    /// Data are missing at the end of the picture.
    #[error("the picture is cut off: data are missing at its end")]
    Truncated,
    /// The header states more pixels than `[vision] max_pixels`. The picture was not decoded.
    #[error("the picture has {width} × {height} pixels, more than [vision] max_pixels = {limit}")]
    TooLarge {
        /// Width in the header, pixels.
        width: u32,
        /// Height in the header, pixels.
        height: u32,
        /// `[vision] max_pixels`.
        limit: u64,
    },
    /// Coded data within the picture are missing or wrong: a part would be grey, or in the wrong place.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// A progressive JPEG has too many scans. Each takes a pass over all pixels, however few bytes it has.
    #[error("the picture has more than {limit} scans; send baseline JPEG, or progressive JPEG with fewer")]
    TooManyScans {
        /// The largest allowed number of scans.
        limit: u32,
    },
    /// Decoding took longer than `[vision] max_decode_ms`.
    #[error("decoding the picture takes longer than [vision] max_decode_ms = {}", limit.as_millis())]
    TooSlow {
        /// `[vision] max_decode_ms`.
        limit: Duration,
    },
    /// The picture has a valid beginning, but the decoder cannot read it.
    #[error("the picture cannot be decoded: {0}")]
    Undecodable(String),
    /// A model failed on a valid picture.
    #[error("inference failed: {0}")]
    Inference(String),
}

impl PictureError {
    /// The error of OpenCV for a picture that it cannot process.
    pub(super) fn unreadable(error: opencv::Error) -> Self {
        Self::Undecodable(error.message)
    }

    /// A stable name for dead-letter headers and metrics.
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

    /// True for a fault of the host rather than the picture: a retry may succeed.
    pub fn is_hosts_fault(&self) -> bool {
        matches!(self, Self::Inference(_))
    }
}
