//! Vision and rules for requests: who is on a picture, and enrolment. Loaded at the first request that needs them.

use crate::problem::Problem;
use everyframe_config::{Config, Polygon, RuleKind};
use everyframe_gallery::{Gallery, GalleryError, Index, StrangerIndex, Strangers};
use everyframe_pipeline::enrolment::{EnrolmentFace, Examiner, RefusedPicture};
use everyframe_pipeline::identify::{IdentifiedPicture, Identifier, IdentifyError};
use everyframe_pipeline::reload::WatchedFiles;
use everyframe_rules::{CodeCache, Rules, load_rules};
use everyframe_types::face::Rect;
use everyframe_types::machine::unix_ms;
use everyframe_vision::{Vision, VisionError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// Recognises faces for requests, one at a time.
pub struct Recogniser {
    config: Config,
    /// The configuration file with the rules; none if the process has none.
    file: Option<PathBuf>,
    cache: PathBuf,
    /// Where rules run; not a runtime of this crate's requests.
    runtime: Handle,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    identifier: Identifier,
    examiner: Examiner,
    gallery: Gallery,
    strangers: Strangers,
    model: String,
    rules: Option<(WatchedFiles, Rules)>,
}

/// Why a picture cannot be recognised or enrolled.
#[derive(Debug, thiserror::Error)]
pub enum RecognitionError {
    /// The models cannot be loaded.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The gallery cannot be read.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The rules cannot be loaded.
    #[error("the rules cannot be loaded: {0}")]
    Rules(String),
    /// The picture cannot be decoded, or a rule failed.
    #[error(transparent)]
    Identify(#[from] IdentifyError),
    /// The picture cannot be enrolled.
    #[error(transparent)]
    Refused(#[from] RefusedPicture),
}

impl From<RecognitionError> for Problem {
    fn from(error: RecognitionError) -> Self {
        match error {
            RecognitionError::Gallery(error) => error.into(),
            RecognitionError::Identify(IdentifyError::Picture(_)) | RecognitionError::Refused(_) => {
                Self::unprocessable(error.to_string())
            }
            RecognitionError::Rules(_) => Self::unavailable(error.to_string()),
            error => Self::internal(error),
        }
    }
}

impl Recogniser {
    /// A recogniser of this configuration. `file` is where it is from, `cache` the folder of models and compiled rules.
    pub fn new(config: &Config, file: Option<&Path>, cache: &Path, runtime: Handle) -> Self {
        Self {
            config: config.clone(),
            file: file.map(Path::to_owned),
            cache: cache.to_owned(),
            runtime,
            loaded: Mutex::default(),
        }
    }

    /// Finds the faces of a picture, and lets the matching policies in force decide who they are. Blocks.
    ///
    /// # Errors
    ///
    /// See [`RecognitionError`].
    pub fn identify(&self, picture: &[u8]) -> Result<IdentifiedPicture, RecognitionError> {
        self.with(|loaded| {
            let index = loaded.gallery.index();
            let rules = self.current_rules(&mut loaded.rules)?;
            Ok(loaded.identifier.identify(picture, &index, rules, unix_ms())?)
        })
    }

    /// The strangers of all cameras whom hosts share. Blocks.
    ///
    /// # Errors
    ///
    /// See [`RecognitionError`].
    pub fn strangers(&self) -> Result<Arc<StrangerIndex>, RecognitionError> {
        self.with(|loaded| Ok(loaded.strangers.index()))
    }

    /// Finds and embeds the face to enrol. `chosen` is its box if the picture may show several. Returns also the model's SHA-256
    /// and the enrolled people. Blocks.
    ///
    /// # Errors
    ///
    /// See [`RecognitionError`].
    pub fn examine(
        &self,
        picture: &[u8],
        min_quality: f32,
        chosen: Option<&Rect>,
        masks: &[&Polygon],
    ) -> Result<(EnrolmentFace, String, Arc<Index>), RecognitionError> {
        self.with(|loaded| {
            let face = loaded.examiner.examine(picture, min_quality, chosen, masks)?;
            Ok((face, loaded.model.clone(), loaded.gallery.index()))
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut Loaded) -> Result<T, RecognitionError>,
    ) -> Result<T, RecognitionError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = match &mut *loaded {
            Some(loaded) => loaded,
            none => none.insert(self.load()?),
        };
        work(loaded)
    }

    fn load(&self) -> Result<Loaded, RecognitionError> {
        let vision = Vision::load(&self.config.vision, &self.cache)?;
        let model = vision.models().embedder.sha256.clone();
        Ok(Loaded {
            identifier: Identifier::new(&vision, &self.config)?,
            examiner: Examiner::new(&vision, &self.config.vision)?,
            gallery: Gallery::follow(&self.config, &model)?,
            strangers: Strangers::follow(&self.config, &model)?,
            model,
            rules: None,
        })
    }

    /// The rules, loaded again if the configuration or a component has changed.
    fn current_rules<'a>(
        &self,
        loaded: &'a mut Option<(WatchedFiles, Rules)>,
    ) -> Result<&'a Rules, RecognitionError> {
        if loaded.as_ref().is_none_or(|(files, _)| !files.are_current()) {
            let failed = |error: &dyn std::fmt::Display| RecognitionError::Rules(error.to_string());
            let file = self.file.as_ref();
            let file =
                file.ok_or_else(|| failed(&"this process has no configuration file; give --config"))?;
            let mut files = WatchedFiles::new(file);
            let mut configuration = files.read().map_err(|error| failed(&error))?;
            // Only who a face is, wherever it is: no rule may alert of a picture that comes from no camera.
            configuration.config.rules.retain(|rule| rule.kind == RuleKind::MatchingPolicy);
            for rule in &mut configuration.config.rules {
                rule.cameras = vec!["*".into()];
                (rule.zones, rule.schedule) = (Vec::new(), None);
            }
            let rules = load_rules(&mut configuration, &self.runtime, &CodeCache::in_folder(&self.cache))
                .map_err(|error| failed(&error))?;
            *loaded = Some((files, rules));
        }
        match loaded {
            Some((_, rules)) => Ok(rules),
            None => Err(RecognitionError::Rules("no rules".into())),
        }
    }
}
