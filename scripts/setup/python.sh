# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# A separate Python environment with pinned packages. Parts: broker, test, rules, bench; each is a list of
# requirements.

title() { echo "Python packages for $1"; }
cost() { echo "about 50 MB from the package index"; }

# The installed list is kept beside the packages: if it did not change, there is nothing to do.
check() {
  "$venv/bin/python" -c '' && cmp "$scripts/requirements/$1.txt" "$venv/installed/$1.txt"
}

make() {
  local python
  if ! "$venv/bin/python" -c 'import pip'; then
    rm -rf "$venv"
    python=$(base_python)
    "$python" -m venv "$venv" || { rm -rf "$venv"; die "$python could not make a virtual environment"; }
  fi
  mkdir -p "$venv/installed"
  rm -f "$venv/installed/$1.txt"
  "$venv/bin/python" -m pip install --quiet --require-hashes --only-binary=:all: -r "$scripts/requirements/$1.txt"
  cp "$scripts/requirements/$1.txt" "$venv/installed/$1.txt"
}

# Prints the first Python that is new enough and can create an environment. A pyenv's Python often can where Debian's
# lacks a package.
base_python() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' && { echo "$python"; return; }
  done
  die "no Python 3.11 or newer with its venv module"
}

advice() {
  if [ -x "$venv/bin/python" ]; then
    index_advice "-r $scripts/requirements/$1.txt"
  else
    echo "install Python 3.11 or newer with its venv module (apt-get install python3-venv), then run this again"
  fi
}
