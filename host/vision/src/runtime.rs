//! ONNX Runtime: loaded once for the process, and its sessions. No other file names `ort`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use super::error::{PictureError, VisionError};
use super::gpu;
use super::network::{Network, Tensor};
use super::preprocess::Planes;
use everyframe_config::{Provider, VisionSettings};

/// The loaded library with its environment.
#[derive(Debug)]
pub(super) struct Runtime {
    /// The library's path, links resolved.
    pub library: PathBuf,
    /// The folder in which TensorRT keeps what it has compiled.
    engines: PathBuf,
    environment: ort::environment::Environment,
}

/// The loaded runtime. ONNX Runtime allows one environment in the life of a process, even after it is released, so it is kept.
static LOADED: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

impl Runtime {
    /// Loads the library, or returns the loaded one.
    ///
    /// # Errors
    ///
    /// The library cannot be used, or another one is loaded: show the message.
    pub fn load(settings: &VisionSettings, cache: &Path) -> Result<Arc<Self>, VisionError> {
        let path = library_path(settings, std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from), cache);
        let library =
            path.canonicalize().ok().filter(|p| p.is_file()).ok_or(VisionError::NoRuntime { path })?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = loaded.as_ref() {
            return if runtime.library == library {
                Ok(runtime.clone())
            } else {
                Err(VisionError::OtherRuntime { loaded: runtime.library.clone(), wanted: library })
            };
        }
        let unusable = |reason: String| VisionError::Runtime { path: library.clone(), reason };
        // Without this, `ort` would search for the library itself, and panic if there is none.
        let builder = ort::init_from(&library).map_err(|e| unusable(e.to_string()))?;
        let environment = builder
            .with_name("everyframe")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|e| unusable(e.to_string()))?;
        // With a logger of ours, ONNX Runtime starts at its most verbose level.
        environment.set_log_level(LogLevel::Warning);
        let engines = cache.join("tensorrt");
        let runtime = Arc::new(Self { library: library.clone(), engines, environment });
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// Creates a session with one thread. Workers run in parallel already, and a thread that spins while it waits would take the
    /// time of another worker.
    ///
    /// # Errors
    ///
    /// The message of ONNX Runtime. A missing provider is an error, too: it is not replaced by the CPU.
    pub fn network(&self, model: &[u8], input: &str, provider: Provider) -> Result<Box<dyn Network>, String> {
        let session = match self.session(model, provider) {
            Ok(session) => session,
            Err(error) => return Err(gpu::explain_failure(provider, &self.library, &error.to_string())),
        };
        if !session.inputs().iter().any(|i| i.name() == input) {
            let inputs: Vec<_> = session.inputs().iter().map(|i| i.name()).collect();
            return Err(format!(
                "the model has no input `{input}`, but {inputs:?}: correct `input` in its manifest"
            ));
        }
        let outputs = session.outputs().iter();
        let tensors = outputs.map(|o| Tensor { name: o.name().into(), values: Vec::new() }).collect();
        Ok(Box::new(OnnxNetwork { session, input: input.into(), tensors }))
    }

    fn session(&self, model: &[u8], provider: Provider) -> ort::Result<Session> {
        let mut builder = Session::builder(&self.environment)?
            .with_log_level(LogLevel::Warning)?
            .with_optimization_level(GraphOptimizationLevel::Level3)?
            // Otherwise the runtime keeps a memory plan for each size of picture (24 MiB for 960 × 768) without any gain.
            .with_memory_pattern(false)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?;
        if let Some(provider) = self.execution_provider(provider) {
            builder = builder.with_execution_providers([provider])?;
        }
        builder.commit_from_memory(model)
    }

    /// The execution provider of ONNX Runtime; none for its own CPU provider.
    fn execution_provider(&self, provider: Provider) -> Option<ExecutionProviderDispatch> {
        let dispatch = match provider {
            Provider::Auto | Provider::Cpu => return None,
            // Set explicitly, because OpenVINO uses bfloat16 by default where the processor has it.
            Provider::Openvino => openvino("f32"),
            Provider::OpenvinoBf16 => openvino("bf16"),
            Provider::Cuda => ep::CUDA::default().build(),
            // Compiling takes minutes for each model, so the result is kept.
            Provider::Tensorrt => ep::TensorRT::default()
                .with_engine_cache(true)
                .with_engine_cache_path(self.engines.display())
                .build(),
        };
        Some(dispatch.error_on_failure())
    }
}

fn openvino(precision: &str) -> ExecutionProviderDispatch {
    // Without this, OpenVINO pins all workers to the first core: on two cores, two workers were 1.1 times as fast as one.
    let config = serde_json::json!({
        "CPU": { "INFERENCE_PRECISION_HINT": precision, "ENABLE_CPU_PINNING": "NO" }
    });
    let openvino = ep::OpenVINO::default().with_device_type("CPU").with_num_threads(1);
    openvino.with_arbitrary_config("load_config", config).build()
}

struct OnnxNetwork {
    session: Session,
    input: String,
    tensors: Vec<Tensor>,
}

impl Network for OnnxNetwork {
    fn run(&mut self, input: &Planes) -> Result<&[Tensor], PictureError> {
        let failed = |e: ort::Error| PictureError::Inference(e.to_string());
        let tensor = TensorRef::from_array_view((input.shape(), input.values())).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => tensor]).map_err(failed)?;
        // If reading an output fails, no tensor may keep the values of the previous input.
        self.tensors.iter_mut().for_each(|tensor| tensor.values.clear());
        for (tensor, output) in self.tensors.iter_mut().zip(outputs.values()) {
            let (_, values) = output.try_extract_tensor::<f32>().map_err(failed)?;
            // Copied, so that nothing outside this file depends on `ort`: 20 µs for the largest output.
            tensor.values.extend_from_slice(values);
        }
        Ok(&self.tensors)
    }
}

/// The library's path: from the TOML, else from the environment, else in the cache of `make setup`.
fn library_path(settings: &VisionSettings, environment: Option<PathBuf>, cache: &Path) -> PathBuf {
    let named = settings.onnxruntime.clone().or(environment.filter(|path| !path.as_os_str().is_empty()));
    named.unwrap_or_else(|| cache.join("onnxruntime").join("libonnxruntime.so"))
}

fn log(level: LogLevel, _category: &str, _id: &str, _place: &str, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => tracing::trace!(target: "onnxruntime", "{message}"),
        LogLevel::Warning => tracing::debug!(target: "onnxruntime", "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::warn!(target: "onnxruntime", "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toml_overrides_environment_and_cache() {
        let cache = Path::new("/cache");
        let mut settings = VisionSettings::default();
        let environment = Some(PathBuf::from("/env.so"));
        assert_eq!(library_path(&settings, None, cache), Path::new("/cache/onnxruntime/libonnxruntime.so"));
        assert_eq!(
            library_path(&settings, Some(PathBuf::new()), cache),
            library_path(&settings, None, cache)
        );
        assert_eq!(library_path(&settings, environment.clone(), cache), Path::new("/env.so"));
        settings.onnxruntime = Some("/toml.so".into());
        assert_eq!(library_path(&settings, environment, cache), Path::new("/toml.so"));
    }

    #[test]
    fn a_missing_library_says_what_to_do() {
        let settings = VisionSettings { onnxruntime: Some("/nowhere/l.so".into()), ..Default::default() };
        let error = Runtime::load(&settings, Path::new("/cache")).unwrap_err().to_string();
        assert_eq!(
            error,
            "no ONNX Runtime library found at /nowhere/l.so; run `make setup`, set [vision] onnxruntime, or \
             ORT_DYLIB_PATH"
        );
    }

    #[test]
    fn a_file_that_is_no_library_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let settings = VisionSettings { onnxruntime: Some(file.path().into()), ..Default::default() };
        let error = Runtime::load(&settings, Path::new("/cache")).unwrap_err();
        assert!(matches!(error, VisionError::Runtime { .. }), "{error}");
    }
}
