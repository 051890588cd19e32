# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# A Python environment of our own with pinned packages; parts: demo, broker, test, rules, bench, each a list
# of requirements.

title() { echo "Python packages for $1"; }
cost() { echo "about 50 MB from the package index"; }

# The list that was installed is kept beside what it installed: the same list again is nothing to do.
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

# The first Python that is new enough and can make an environment: a pyenv's often can where Debian's lacks a package.
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
