"""Tests of scripts/setup.sh with fake steps and archives, without downloads."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile
from pathlib import Path

SCRIPTS = Path(__file__).parents[1]

STEP = """
title() { echo "a test step"; }
cost() { echo nothing; }
check() { [ -f "$cache/made" ]; }
make() { %s; }
advice() { echo "do this"; }
"""


class Steps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.cache = self.folder / "cache"
        shutil.copytree(SCRIPTS, self.folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))

    def set_up(self, make):
        (self.folder / "scripts/setup/trial.sh").write_text(STEP % make)
        return subprocess.run(
            [self.folder / "scripts/setup.sh", "trial"],
            env={**os.environ, "EVERYFRAME_CACHE": str(self.cache), "EVERYFRAME_SETUP_INTERVAL": "0.2"},
            capture_output=True,
            text=True,
        )

    def test_what_is_there_is_not_made_again(self):
        self.assertEqual(self.set_up('touch "$cache/made"').returncode, 0)
        again = self.set_up("exit 1")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("ready", again.stdout)

    def test_a_failure_says_why_and_what_to_do_and_leaves_nothing(self):
        failed = self.set_up('new_folder; mktemp -d "$downloads/.fetch.XXXXXX"; die "no such thing"')
        self.assertEqual(failed.returncode, 1)
        self.assertIn("no such thing", failed.stderr)
        self.assertIn("what to do: do this", failed.stderr)
        left = {path.name for path in self.cache.iterdir()}
        self.assertEqual(left, {"downloads", "logs", "setup.lock"})
        self.assertEqual(list((self.cache / "downloads").iterdir()), [])

    def test_a_step_that_takes_long_says_how_far_it_is(self):
        slow = self.set_up('echo "   Compiling one v1"; sleep 1; touch "$cache/made"')
        self.assertEqual(slow.returncode, 0, slow.stderr)
        self.assertIn("s: Compiling one v1", slow.stdout)

    def test_a_command_that_fails_in_the_middle_fails_the_step(self):
        self.assertEqual(self.set_up('false; touch "$cache/made"').returncode, 1)

    def test_a_step_that_makes_nothing_has_failed(self):
        self.assertEqual(self.set_up("true").returncode, 1)

    def test_a_download_with_another_sum_is_not_kept(self):
        fake_pip = self.cache / "python/bin/python"
        fake_pip.parent.mkdir(parents=True)
        fake_pip.write_text('#!/bin/bash\nfor last; do :; done\necho other >"$7/$last"\n')
        fake_pip.chmod(0o755)
        failed = self.set_up('fetch a.tar.gz 0123 a.tar.gz; touch "$cache/made"')
        self.assertEqual(failed.returncode, 1)
        self.assertIn("instead of 0123", failed.stderr)
        self.assertEqual(list((self.cache / "downloads").iterdir()), [])


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.sums = self.folder / "list.sha256"
        self.sums.write_text(f"# a comment\n{hashlib.sha256(b'good').hexdigest()}  a.bin\n")

    def run_script(self, name, *arguments):
        return subprocess.run([sys.executable, SCRIPTS / name, *arguments], capture_output=True, text=True)

    def test_whole_damaged_and_missing_files_are_told_apart(self):
        for content, code, word in ((b"good", 0, ""), (b"goof", 1, "damaged"), (None, 1, "No such file")):
            with self.subTest(content=content):
                file = self.folder / "a.bin"
                file.unlink(missing_ok=True)
                if content is not None:
                    file.write_bytes(content)
                checked = self.run_script("checksums.py", self.folder, self.sums)
                self.assertEqual(checked.returncode, code)
                self.assertIn(word, checked.stdout)

    def test_only_listed_files_are_unpacked_and_only_from_the_named_folders(self):
        source, wheel = self.folder / "p-1.tar.gz", self.folder / "p-1.whl"
        with tarfile.open(source, "w:gz") as packed:
            for name, content in (("p-1/other/a.bin", b"bad"), ("p-1/in/a.bin", b"good"), ("p-1/in/b", b"")):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content))
        with zipfile.ZipFile(wheel, "w") as packed:
            packed.writestr("other/a.bin", b"bad")
            packed.writestr("in/a.bin", b"good")
        for archive in (source, wheel):
            out = self.folder / archive.suffix
            out.mkdir()
            unpacked = self.run_script("unpack.py", archive, self.sums, out, "in")
            self.assertEqual(unpacked.returncode, 0, unpacked.stderr)
            self.assertEqual({p.name: p.read_bytes() for p in out.iterdir()}, {"a.bin": b"good"})

    def test_files_in_subfolders_keep_their_folders(self):
        archive, sums, out = self.folder / "p-1.whl", self.folder / "nested.sha256", self.folder / "nested"
        out.mkdir()
        sums.write_text("0  s1/1.bin\n0  s2/1.bin\n")
        with zipfile.ZipFile(archive, "w") as packed:
            for name in ("in/s1/1.bin", "in/s2/1.bin", "in/s2/2.bin", "s1/1.bin"):
                packed.writestr(name, name)
        unpacked = self.run_script("unpack.py", archive, sums, out, "in")
        self.assertEqual(unpacked.returncode, 0, unpacked.stderr)
        found = {str(p.relative_to(out)): p.read_text() for p in out.rglob("*.bin")}
        self.assertEqual(found, {"s1/1.bin": "in/s1/1.bin", "s2/1.bin": "in/s2/1.bin"})

    def test_an_archive_without_a_listed_file_is_refused(self):
        archive = self.folder / "p-1.whl"
        zipfile.ZipFile(archive, "w").close()
        refused = self.run_script("unpack.py", archive, self.sums, self.folder, "in")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("does not hold a.bin", refused.stderr)


if __name__ == "__main__":
    unittest.main()
