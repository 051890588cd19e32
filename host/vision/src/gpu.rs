//! What to do when a GPU provider cannot be used.

use std::path::Path;

use everyframe_config::Provider;

/// The device file of NVIDIA's driver. A container has it only if it was given the GPU.
const DEVICE: &str = "/dev/nvidiactl";

/// True for a provider that needs a GPU.
pub(super) fn is_gpu(provider: Provider) -> bool {
    matches!(provider, Provider::Cuda | Provider::Tensorrt)
}

/// The message for a session that ONNX Runtime refused to create: for a GPU provider, what is missing and how to get it; for
/// others, ONNX Runtime's own.
pub(super) fn explain_failure(provider: Provider, library: &Path, error: &str) -> String {
    let (name, part) = match provider {
        Provider::Cuda => ("CUDA", "libonnxruntime_providers_cuda.so"),
        Provider::Tensorrt => ("TensorRT", "libonnxruntime_providers_tensorrt.so"),
        _ => return error.to_owned(),
    };
    let has_part = library.parent().is_some_and(|folder| folder.join(part).is_file());
    explain(name, library, (has_part, Path::new(DEVICE).exists()), error)
}

fn explain(name: &str, library: &Path, (has_part, has_device): (bool, bool), error: &str) -> String {
    if !has_part {
        return format!(
            "ONNX Runtime at {} is a build without {name}; take one for GPUs (the libraries in `onnxruntime-gpu` from PyPI) \
             and set [vision] onnxruntime to its libonnxruntime.so",
            library.display()
        );
    }
    if !has_device {
        return format!(
            "this machine has no NVIDIA device ({DEVICE} is missing); install the driver, or give the container the GPU"
        );
    }
    let libraries = if name == "TensorRT" { "TensorRT 10, CUDA and cuDNN 9" } else { "CUDA and cuDNN 9" };
    format!(
        "{error}; the loader must find {libraries} (LD_LIBRARY_PATH), in the versions that this build of ONNX Runtime wants"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_in_order() {
        let library = Path::new("/gpu/libonnxruntime.so");
        let text = |found| explain("CUDA", library, found, "no libcudnn.so.9");
        assert!(text((false, false)).contains("/gpu/libonnxruntime.so is a build without CUDA"));
        assert!(text((true, false)).contains("/dev/nvidiactl is missing"));
        assert!(text((true, true)).starts_with("no libcudnn.so.9; the loader must find CUDA"));
    }

    #[test]
    fn other_providers_keep_the_runtimes_message() {
        assert_eq!(explain_failure(Provider::Openvino, Path::new("/l.so"), "refused"), "refused");
    }
}
