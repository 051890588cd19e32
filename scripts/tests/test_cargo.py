"""Tests of scripts/cargo.sh: two clones, each with two workspaces, share a target folder."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).parents[1]


class SharedTargetFolder(unittest.TestCase):
    def test_each_clone_gets_its_own_program_though_its_files_are_older(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for name in ("first", "second"):
                for workspace in ("one", "other"):
                    package = folder / name / workspace
                    (package / "src").mkdir(parents=True)
                    (package / "Cargo.toml").write_text(
                        f'[package]\nname = "{workspace}"\nedition = "2024"\n[workspace]\n'
                    )
                    (package / "src/main.rs").write_text(f'fn main() {{ print!("{name}") }}')
                (folder / name / "scripts").mkdir()
                shutil.copy(SCRIPTS / "cargo.sh", folder / name / "scripts")
            time.sleep(0.01)  # from here on every file is older than what is built
            for name in ("first", "second", "first"):
                for workspace in ("one", "other"):
                    ran = subprocess.run(
                        ["../scripts/cargo.sh", "run", "--quiet", "--offline"],
                        cwd=folder / name / workspace,
                        env={**os.environ, "CARGO_TARGET_DIR": str(folder / "target")},
                        capture_output=True,
                        text=True,
                    )
                    self.assertEqual(ran.stdout, name, ran.stderr)


if __name__ == "__main__":
    unittest.main()
