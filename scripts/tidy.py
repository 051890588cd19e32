#!/usr/bin/env python3
"""Checks rules of this repository that rustfmt and clippy do not check. `make lint` runs it.

    tidy.py [FOLDER]

1. No circle of modules. The modules of one crate, and the files of one folder, use each other in one direction. Tests may
   use anything. A parent (lib.rs, main.rs, mod.rs) contains its children, so an arrow between the two is no circle. An item
   that a parent imports or re-exports counts as used from the module that defines it.
2. No Rust file over 600 lines.
3. Only one crate of host/ uses each large library (ONE_CRATE, OPENCV_CRATES). The crate tests/ is outside host/ and has its
   own Kafka client.
4. Paths (`host/src/main.rs`) and links in README.md and the other pages exist. Decisions are left out: they describe the past.
   `TODO-PATH` marks a path that is still to be filled in.

Prints each problem with file and line. Exit status 1 if there is a problem.
"""

import os
import re
import sys
import tomllib
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

MAX_LINES = 600
# Libraries, or families of libraries (`*`), on which only one crate of host/ may depend.
ONE_CRATE = ("rdkafka", "wasmtime*", "ort")
# vision decodes, agent captures.
OPENCV_CRATES = {"vision", "agent"}
SKIPPED_FOLDERS = {"target", "node_modules", "template"}
ROOTS = ("lib.rs", "main.rs")
PAGES = ("*.md", "docs/*.md", "examples/*/README.md", "plugins/README.md", "sdk/README.md")

NOT_CODE = re.compile(
    r"""//[^\n]*
    | /\*.*?\*/
    | \b[bc]?r(\#*)".*?"\1
    | \b[bc]?"(?:\\.|[^"\\])*"
    | "(?:\\.|[^"\\])*"
    | '(?:\\(?:u\{[^}]*\}|.)[^']*|[^'\\])'""",
    re.DOTALL | re.VERBOSE,
)
TEST_ITEM = re.compile(r"#\s*\[\s*cfg\s*\(\s*(?:all\s*\(\s*)?test\b[^\]]*\]")
VISIBILITY = re.compile(r"\bpub\s*\([^)]*\)")
DECLARED = re.compile(r"\bmod\s+(\w+)\s*;")
INLINE = re.compile(r"\bmod\s+(\w+)\s*\{")
USE = re.compile(r"\buse\s+([^;]+);")
PATH = re.compile(r"(?<![\w:])(crate|super|self|[a-z_]\w*)((?:\s*::\s*\w+)+)")
NAMED_PATH = re.compile(r"`((?:host|plugins|sdk|wit|examples|tests|benches|fuzz|docs|scripts)/[\w./-]*)`|(TODO-PATH[^.;)]*)")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([\w-]*))?\)")
DEFINED = re.compile(r"\b(?:fn|struct|enum|union|trait|type|const|static|macro_rules!)\s+(\w+)")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    problems = list(check(root))
    for problem in problems:
        print(f"tidy: {problem}")
    return 1 if problems else 0


def check(root):
    """Yields each problem of the tree as text."""
    manifests = list(find(root, "Cargo.toml"))
    for manifest in manifests:
        yield from circles(manifest.parent / "src", root)
    for file in find(root, "*.rs"):
        lines = file.read_bytes().count(b"\n")
        if lines > MAX_LINES:
            yield f"{file.relative_to(root)}: {lines} lines; split it, {MAX_LINES} are the most"
    yield from shared_libraries(root, manifests)
    for pattern in PAGES:
        for page in sorted(root.glob(pattern)):
            yield from dead_references(page, root)


def find(root, pattern):
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS and not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if fnmatch(name, pattern))


def shared_libraries(root, manifests):
    """Yields the libraries that more crates of host/ depend on than may."""
    users = defaultdict(dict)
    for manifest in manifests:
        folder = manifest.parent.relative_to(root)
        if folder.parts[:1] != ("host",):
            continue
        for library in dependencies(tomllib.loads(manifest.read_text())):
            users[library][folder.name] = manifest.relative_to(root)
    for family in ONE_CRATE:
        crates = {
            crate: manifest
            for library, found in users.items()
            if library == family or (family[-1] == "*" and library.startswith(family[:-1]))
            for crate, manifest in found.items()
        }
        if len(crates) > 1:
            yield f"{family} is a dependency of {names(crates)}; hide it behind one crate"
    crates = users["opencv"]
    # One alone is the host before it had crates.
    if len(crates) > 1 and not set(crates) <= OPENCV_CRATES:
        yield f"opencv is a dependency of {names(crates)}; only {' and '.join(sorted(OPENCV_CRATES))} may use it"


def names(crates):
    return ", ".join(str(manifest) for _, manifest in sorted(crates.items()))


def dependencies(manifest):
    """The names of the packages that a manifest depends on, of every kind and target."""
    tables = [manifest, *manifest.get("target", {}).values()]
    for table in tables:
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            for name, value in table.get(kind, {}).items():
                yield value.get("package", name) if isinstance(value, dict) else name


def dead_references(page, root):
    """Yields the paths and links of a page that lead nowhere."""
    text = page.read_text()
    for match in NAMED_PATH.finditer(text):
        if match[2] or not (root / match[1]).exists():
            yield f"{place(page, text, match, root)}: there is no {match[1] or match[2]}"
    for match in LINK.finditer(text):
        target = page.parent / match[1] if match[1] else page
        if not target.exists():
            yield f"{place(page, text, match, root)}: the link to {match[1]} leads nowhere"
        elif match[2] and target.suffix == ".md" and match[2] not in anchors(target):
            yield f"{place(page, text, match, root)}: {match[1] or page.name} has no heading #{match[2]}"


def place(page, text, match, root):
    return f"{page.relative_to(root)}:{text.count(chr(10), 0, match.start()) + 1}"


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Module:
    """One module: a file, or a folder with its mod.rs."""

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.children = {}
        self.code = ""
        # What it imports, by name: the path in the crate. Then the paths of its globs.
        self.imports, self.globs = {}, []
        # Every path of the crate that it names: the path, the position in the code.
        self.used = []
        self.defined = set()

    def line(self, position):
        return self.code.count("\n", 0, position) + 1


def circles(source, root):
    """Yields the shortest circle of each group of modules under `source` that use each other."""
    file = next((source / name for name in ROOTS if (source / name).is_file()), None)
    if file is None:
        return
    top = load(file, (), source)
    modules = [top]
    for module in modules:
        modules.extend(module.children.values())
    for module in modules:
        read_paths(module)
    # By the path of the parent, the child that uses and the child that is used: where.
    arrows = defaultdict(lambda: defaultdict(dict))
    for module in modules:
        for path, position in module.used:
            target = resolve(top, path)
            common = next(
                (i for i, (a, b) in enumerate(zip(module.path, target)) if a != b), min(len(module.path), len(target))
            )
            if common < len(module.path) and common < len(target):
                place = f"{module.file.relative_to(root)}:{module.line(position)}"
                arrows[module.path[:common]][module.path[common]].setdefault(target[common], place)
    for parent, graph in sorted(arrows.items()):
        where = "::".join(("crate", *parent))
        for circle, group in shortest_circles(graph):
            text = f"{source.parent.relative_to(root)}: circle of modules in {where}: {' -> '.join(circle)}"
            text += "".join(f"\n  {a} uses {b}: {graph[a][b]}" for a, b in zip(circle, circle[1:]))
            if len(group) >= len(circle):
                text += f"\n  part of a knot of {len(group)}: {', '.join(group)}"
            yield text


def load(file, path, folder):
    """Reads a module and, from `folder`, its children, except tests."""
    module = Module(file, path)
    module.code = without_tests(blank(NOT_CODE, file.read_text()))
    for name in DECLARED.findall(module.code):
        for child, inside in ((folder / f"{name}.rs", folder / name), (folder / name / "mod.rs", folder / name)):
            if child.is_file() and not name.endswith("_tests"):
                module.children[name] = load(child, (*path, name), inside)
    return module


def blank(pattern, code):
    """The code with all that matches made spaces, so that positions and lines stay."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code)


def without_tests(code):
    """The code without the items that only tests have."""
    while attribute := TEST_ITEM.search(code):
        end = item_end(code, attribute.end())
        code = code[: attribute.start()] + re.sub(r"[^\n]", " ", code[attribute.start() : end]) + code[end:]
    return code


def item_end(code, start):
    """The position after the item that begins at `start`: its semicolon, or the brace that closes its first one."""
    first = re.compile(r"[;{]").search(code, start)
    if first is None:
        return len(code)
    return first.end() if first[0] == ";" else closing(code, first.start())


def closing(code, start):
    """The position after the brace that closes the one at `start`."""
    depth = 0
    for brace in re.compile(r"[{}]").finditer(code, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return len(code)


def read_paths(module):
    """Finds what a module imports, defines and names."""
    code = blank(VISIBILITY, module.code)
    # Modules within the file: `super` there means one less.
    inline = [(match.start(), closing(code, match.end() - 1)) for match in INLINE.finditer(code)]

    def absolute(words, position):
        """The path from the crate's root, or None if it leads out of the crate."""
        depth = sum(start < position < end for start, end in inline)
        base = list(module.path)
        first, *rest = words
        if first == "crate":
            return tuple(rest)
        if first == "self":
            return (*base, *rest) if depth == 0 else None
        if first != "super":
            return (*base, *words) if first in module.children else None
        while words and words[0] == "super":
            words = words[1:]
            if depth:
                depth -= 1
            elif base:
                base.pop()
        return (*base, *words)

    for match in USE.finditer(code):
        for words, alias, position in use_tree(match[1], match.start(1)):
            path = absolute(words, position)
            if path is None:
                continue
            if alias == "*":
                module.globs.append(path)
            else:
                module.imports[alias] = path
            module.used.append((path, position))
    for match in PATH.finditer(blank(USE, code)):
        path = absolute([match[1], *re.findall(r"\w+", match[2])], match.start())
        if path is not None:
            module.used.append((path, match.start()))
    module.defined = set(DEFINED.findall(code))


def use_tree(tree, position):
    """Yields each path of a `use`, as words, the name it gets, and its position."""
    match = re.match(r"\s*((?:\w+\s*::\s*)*)", tree)
    prefix, rest = re.findall(r"\w+", match[1]), tree[match.end() :]
    start = position + match.end()
    if rest.startswith("{"):
        depth, begin = 0, 1
        for i, char in enumerate(rest):
            depth += {"{": 1, "}": -1}.get(char, 0)
            if (char == "," and depth == 1) or (char == "}" and depth == 0):
                if rest[begin:i].strip():
                    for words, alias, place in use_tree(rest[begin:i], start + begin):
                        yield [*prefix, *words], alias, place
                begin = i + 1
        return
    words = re.findall(r"\w+|\*", rest)
    if not words:
        return
    start += len(rest) - len(rest.lstrip())
    name, alias = words[0], words[-1]
    if name == "self" and prefix:
        yield prefix, alias if len(words) > 1 else prefix[-1], start
    elif name == "*":
        yield prefix, "*", start
    else:
        yield [*prefix, name], alias, start


def resolve(top, path, depth=0):
    """The path of the module that defines what a path of the crate names."""
    module = top
    for i, word in enumerate(path):
        if word in module.children:
            module = module.children[word]
        elif word in module.imports and depth < 20:
            return resolve(top, (*module.imports[word], *path[i + 1 :]), depth + 1)
        elif word in module.defined or depth >= 20:
            break
        else:
            through = [glob for glob in module.globs if defines(top, glob, word)]
            return resolve(top, (*through[0], *path[i:]), depth + 1) if through else module.path
    return module.path


def defines(top, path, word):
    module = top
    for part in path:
        if part not in module.children:
            return False
        module = module.children[part]
    return word in module.defined or word in module.imports or word in module.children


def shortest_circles(graph):
    """Of each group of nodes that all reach each other: its shortest circle, which ends where it begins, and the group."""
    reached = {start: reachable(graph, start) for start in list(graph)}
    done = set()
    for start in sorted(graph):
        group = sorted(node for node in reached[start] if start in reached.get(node, ()))
        if start in done or not group:
            continue
        done.update(group)
        yield min((circle_through(graph, node) for node in group), key=len), group


def reachable(graph, start):
    found, todo = set(), [start]
    while todo:
        for node in graph.get(todo.pop(), ()):
            if node not in found:
                found.add(node)
                todo.append(node)
    return found


def circle_through(graph, start):
    came_from, todo = {}, [start]
    for node in todo:
        for following in graph.get(node, ()):
            if following == start:
                path = [start]
                while node != start:
                    path.append(node)
                    node = came_from[node]
                return [start, *reversed(path[1:]), start]
            if following not in came_from:
                came_from[following] = node
                todo.append(following)
    raise ValueError(f"{start} is in no circle")


if __name__ == "__main__":
    sys.exit(main())
