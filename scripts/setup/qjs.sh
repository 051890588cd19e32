# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# componentize-qjs, which makes components of rules in JavaScript: the same list of npm packages, by sha512, that a
# project of `everyframe rule new --lang javascript` gets.

lists=$scripts/../host/cli/src/rule/template/javascript
installed=$cache/qjs
tool=$cache/tools/bin/componentize-qjs

title() { echo "componentize-qjs $(sed -n 's/.*"componentize-qjs": "\(.*\)".*/\1/p' "$lists/package.json")"; }
cost() { echo "38 MB from the npm registry"; }

# The list that was installed is kept beside what it installed.
check() { cmp "$lists/package-lock.json" "$installed/package-lock.json" && "$tool" --help; }

make() {
  local new
  new=$(new_folder)
  cp "$lists/package.json" "$lists/package-lock.json" "$new/"
  npm ci --no-audit --no-fund --prefix "$new"
  rm -rf "$installed"
  mv "$new" "$installed"
  mkdir -p "${tool%/*}"
  # Not the package's own program, which Node.js 18 takes for a script of another kind.
  printf '#!/bin/sh\nexec node %q "$@"\n' "$installed/node_modules/componentize-qjs/cli.mjs" >"$tool.new"
  chmod +x "$tool.new"
  mv "$tool.new" "$tool"
}

advice() { echo "see that npm reaches its registry (npm view componentize-qjs version), then run this again"; }
