"""Tests of scripts/jars.py: the choice of a mirror."""

import importlib.util
import sys
import tempfile
import types
import unittest
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "jars.py"

SETTINGS = """<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors>
  <mirror><id>other</id><mirrorOf>%s</mirrorOf><url>https://mirror.example/maven/</url></mirror>
</mirrors></settings>"""


def module():
    # Only what fetches needs the client.
    sys.modules.setdefault("jgo", types.ModuleType("jgo"))
    client = sys.modules.setdefault("jgo.maven", types.ModuleType("jgo.maven"))
    client.MavenContext = getattr(client, "MavenContext", None)
    spec = importlib.util.spec_from_file_location("jars_script", SCRIPT)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Mirror(unittest.TestCase):
    def mirror(self, text, environment=None):
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder) / "settings.xml"
            if text is not None:
                settings.write_text(text)
            return module().mirror(settings, environment or {})

    def test_a_mirror_of_central_is_taken(self):
        for names in ("central", "*", "a,central", "external:*"):
            self.assertEqual(self.mirror(SETTINGS % names), "https://mirror.example/maven", names)

    def test_mirrors_of_others_are_not(self):
        for names in ("a", "*,!central", "external:http:*"):
            self.assertIsNone(self.mirror(SETTINGS % names), names)

    def test_the_environment_wins(self):
        environment = {"EVERYFRAME_MAVEN": "https://other.example/"}
        self.assertEqual(self.mirror(SETTINGS % "*", environment), "https://other.example")
        self.assertIsNone(self.mirror(None))


if __name__ == "__main__":
    unittest.main()
