"""Tests of scripts/tidy.py: it finds the problems that it describes, and no others."""

import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import tidy  # noqa: E402

CRATE = '[package]\nname = "x"\n'


class Tidy(unittest.TestCase):
    def problems(self, files):
        """Returns the problems of a tree of these files: the first line of each, and all lines."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return list(tidy.check(Path(folder)))

    def crate(self, **files):
        """Returns the problems of a crate with these modules (`a__b` is `a/b.rs`)."""
        names = {name: f"host/x/src/{name.replace('__', '/')}.rs" for name in files}
        return self.problems({"host/x/Cargo.toml": CRATE} | {names[name]: text for name, text in files.items()})

    def test_a_circle_is_printed_with_the_place_of_each_arrow(self):
        found = self.crate(
            lib="mod a;\nmod b;\nmod c;",
            a="\nuse crate::b::B;",
            b="use super::{\n    c::{self, C},\n};\npub struct B;",
            c="fn f() { crate::a::g() }",
        )
        self.assertEqual(
            found,
            [
                "host/x: circle of modules in crate: a -> b -> c -> a"
                "\n  a uses b: host/x/src/a.rs:2"
                "\n  b uses c: host/x/src/b.rs:2"
                "\n  c uses a: host/x/src/c.rs:1"
            ],
        )

    def test_the_shortest_circle_of_a_knot_is_printed(self):
        (found,) = self.crate(
            lib="mod a; mod b; mod c;",
            a="use crate::b::B;",
            b="use crate::c::C;",
            c="use crate::{a::A, b::B};",
        )
        self.assertIn("b -> c -> b", found)
        self.assertIn("a knot of 3: a, b, c", found)

    def test_arrows_one_way_are_fine(self):
        found = self.crate(lib="mod a; mod b; pub use a::A;", a="use crate::b::B;", b="pub struct B;")
        self.assertEqual(found, [])

    def test_files_of_a_folder_may_not_form_a_circle(self):
        for mention in ("use super::two::Two;", "use crate::part::two::Two;", "fn f(t: super::two::Two) {}"):
            (found,) = self.crate(
                lib="mod part;",
                part__mod="mod one;\nmod two;",
                part__one=mention,
                part__two="use super::one::One;",
            )
            self.assertTrue(found.startswith("host/x: circle of modules in crate::part: one -> two -> one"), found)

    def test_what_a_parent_imports_counts_where_it_is_defined(self):
        for imported in ("pub use two::Two;", "pub(super) use two::{Two, Other};", "pub use two::*;"):
            (found,) = self.crate(
                lib="mod part;",
                part__mod=f"mod one;\nmod two;\n{imported}",
                part__one="use super::Two;",
                part__two="use super::one::One;\npub struct Two;",
            )
            self.assertIn("one -> two -> one", found)

    def test_a_parent_and_its_child_are_no_circle(self):
        found = self.crate(
            lib="mod part; use part::f;",
            part__mod="mod one;\nuse one::f;\npub struct Shared;\nfn g() { one::f() }",
            part__one="use super::Shared;",
        )
        self.assertEqual(found, [])

    def test_tests_may_use_anything(self):
        found = self.crate(
            lib='mod a; mod b;\n#[cfg(test)]\nmod fixtures;\n#[cfg(test)]\n#[path = "a_tests.rs"]\nmod a_tests;',
            a="use crate::b::B;",
            b="#[cfg(test)]\nuse crate::a::A;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n    fn f() { crate::a::g(); }\n}",
            fixtures="use crate::a::A;",
            a_tests="use crate::a::A;",
        )
        self.assertEqual(found, [])

    def test_comments_and_texts_are_not_code(self):
        found = self.crate(
            lib="mod a; mod b;",
            a="use crate::b::B;",
            b="//! [`crate::a::A`]\nfn f<'a>(_: &'a str) { let _ = (\"crate::a::g\", 'x', '\\'', r#\"\"crate::a::h\"\"#); }",
        )
        self.assertEqual(found, [])

    def test_a_module_within_a_file_is_of_that_file(self):
        found = self.crate(lib="mod a; mod b;", a="use crate::b::B;", b="mod a { pub fn g() {} }\nmod c { use super::a::g; }")
        self.assertEqual(found, [])

    def test_a_long_file_is_a_problem_wherever_it_is(self):
        found = self.problems({"tests/short.rs": "\n" * 600, "tests/long.rs": "\n" * 601, "target/made.rs": "\n" * 9999})
        self.assertEqual(found, ["tests/long.rs: 601 lines; split it, 600 are the most"])

    def test_a_large_library_belongs_to_one_crate(self):
        def crates(**tables):
            return self.problems(
                {f"host/{name}/Cargo.toml": CRATE + table for name, table in tables.items()}
                | {"tests/Cargo.toml": f"{CRATE}[dependencies]\nrdkafka.workspace = true\n"}
            )

        self.assertEqual(crates(kafka='[dependencies]\nrdkafka = "1"\n', vision='[dependencies]\nort = "2"\n'), [])
        rules = '[dependencies]\nwasmtime = "1"\nwasmtime-wasi = "1"\n'
        self.assertEqual(crates(rules=rules), [])
        for other in (
            '[dev-dependencies]\nwasmtime-wasi-http = "1"\n',
            '[target."cfg(unix)".dependencies]\nwasmtime = "1"\n',
            '[build-dependencies]\nw = { package = "wasmtime", version = "1" }\n',
        ):
            (found,) = crates(rules=rules, other=other)
            self.assertIn("host/other/Cargo.toml, host/rules/Cargo.toml", found)

    def test_opencv_belongs_to_vision_and_the_agent(self):
        opencv = CRATE + "[dependencies]\nopencv.workspace = true\n"
        self.assertEqual(self.problems({"host/Cargo.toml": opencv}), [])
        allowed = {"host/vision/Cargo.toml": opencv, "host/agent/Cargo.toml": opencv}
        self.assertEqual(self.problems(allowed), [])
        (found,) = self.problems(allowed | {"host/cli/Cargo.toml": opencv})
        self.assertIn("only agent and vision may use it", found)

    def test_paths_and_links_of_a_page_lead_somewhere(self):
        page = "# A page\n\n## The `one` part\n\n`host/x.rs`, `docs/*.md`, [a](docs/b.md), [c](https://e.org/), [d](#the-one-part)\n"
        self.assertEqual(self.problems({"README.md": page, "host/x.rs": "", "docs/b.md": "# B\n"}), [])
        wrong = "`host/y.rs`\n[a](c.md)\n[b](b.md#c)\nTODO-PATH: the sender\n"
        self.assertEqual(
            sorted(self.problems({"docs/b.md": wrong})),
            [
                "docs/b.md:1: there is no host/y.rs",
                "docs/b.md:2: the link to c.md leads nowhere",
                "docs/b.md:3: b.md has no heading #c",
                "docs/b.md:4: there is no TODO-PATH: the sender\n",
            ],
        )


if __name__ == "__main__":
    unittest.main()
