# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# componentize-qjs, which builds components from JavaScript rules. The list of npm packages with their sha512 sums is that
# of a project of `everyframe rule new --lang javascript`.

lists=$scripts/../host/cli/src/rule/template/javascript
installed=$cache/qjs
tool=$cache/tools/bin/componentize-qjs

title() { echo "componentize-qjs $(sed -n 's/.*"componentize-qjs": "\(.*\)".*/\1/p' "$lists/package.json")"; }
cost() { echo "38 MB from the npm registry"; }

# The installed list is kept beside the packages.
check() { cmp "$lists/package-lock.json" "$installed/package-lock.json" && "$tool" --help; }

make() {
  local new
  new=$(new_folder)
  cp "$lists/package.json" "$lists/package-lock.json" "$new/"
  npm ci --no-audit --no-fund --prefix "$new"
  rm -rf "$installed"
  mv "$new" "$installed"
  mkdir -p "${tool%/*}"
  # Not the package's own start script: Node.js 18 takes it for another kind of module.
  printf '#!/bin/sh\nexec node %q "$@"\n' "$installed/node_modules/componentize-qjs/cli.mjs" >"$tool.new"
  chmod +x "$tool.new"
  mv "$tool.new" "$tool"
}

advice() { echo "check that npm can reach its registry (npm view componentize-qjs version), then run this again"; }
