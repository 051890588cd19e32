"""The cluster's life and end, with a Java that only waits."""

import importlib.util
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "kafka.py"

JAVA = f"""#!{sys.executable}
import sys, time
if "kafka.Kafka" in sys.argv:
    time.sleep(60)
"""


def module():
    spec = importlib.util.spec_from_file_location("kafka_script", SCRIPT)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class ClusterId(unittest.TestCase):
    def test_an_id_is_never_taken_for_an_option(self):
        # The first six bits of each are Base64's hyphen, of the last they are not.
        drawn = iter([b"\xf8" * 16, b"\xfb" + b"\0" * 15, b"\xff" * 16])
        identity = module().cluster_id(lambda count: next(drawn))
        self.assertEqual(identity, "_" * 21 + "w")
        self.assertEqual(list(drawn), [])

    def test_an_id_has_sixteen_bytes(self):
        self.assertEqual(len(module().cluster_id()), 22)


class Cluster(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "cluster"
        (Path(folder.name) / "cache/kafka").mkdir(parents=True)
        java = Path(folder.name) / "bin/java"
        java.parent.mkdir()
        java.write_text(JAVA)
        java.chmod(0o755)
        self.environment = {
            **os.environ,
            "EVERYFRAME_CACHE": str(Path(folder.name) / "cache"),
            "PATH": f"{java.parent}:{os.environ['PATH']}",
        }

    def kafka(self, *words):
        return subprocess.run(
            [sys.executable, SCRIPT, *words], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    def prepare(self, *words):
        prepared = self.kafka("prepare", self.folder, *words)
        self.assertEqual(prepared.returncode, 0, prepared.stderr)
        return json.loads((self.folder / "cluster.json").read_text())

    def node(self, *words):
        node = subprocess.Popen(
            [sys.executable, SCRIPT, "node", self.folder, "1", *words], env=self.environment, stdin=subprocess.PIPE
        )
        self.addCleanup(node.stdin.close)
        self.addCleanup(node.wait)
        self.addCleanup(node.kill)
        self.wait_for(lambda: "process" in self.kafka("status", self.folder).stdout)
        return node

    def wait_for(self, there):
        deadline = time.monotonic() + 20
        while not there():
            self.assertLess(time.monotonic(), deadline, "waited 20 s")
            time.sleep(0.02)

    def test_ports_are_those_asked_for_or_free_ones_that_no_connection_is_given(self):
        asked = self.prepare("--port", "21000")
        self.assertEqual([at["plain"] for at in asked["nodes"].values()], [21000, 21010, 21020])
        self.assertEqual(asked["ssl"], "127.0.0.1:21003,127.0.0.1:21013,127.0.0.1:21023")
        self.folder = self.folder.with_name("another")
        free = [port for at in self.prepare()["nodes"].values() for port in at.values()]
        self.assertEqual(len(set(free)), 12)
        # Linux gives outgoing connections ports from 32768 on.
        self.assertLess(max(free), 32_768)

    def test_what_is_secret_is_its_owners(self):
        self.prepare()
        for name in ("password", "keystore.pem"):
            self.assertEqual(stat.S_IMODE((self.folder / name).stat().st_mode), 0o600)
        self.assertEqual(list(self.folder.glob("*key.pem")), [])

    def test_a_cluster_is_not_laid_out_over_another(self):
        self.prepare()
        self.assertIn("holds a cluster already", self.kafka("prepare", self.folder).stderr)

    def test_a_node_ends_and_leaves_nothing_when_who_started_it_is_gone(self):
        self.prepare("--temporary")
        node = self.node("--until-stdin-closes")
        node.stdin.close()
        node.wait(20)
        self.wait_for(lambda: not self.folder.exists())

    def test_a_node_that_is_killed_leaves_its_folder(self):
        self.prepare("--temporary")
        node = self.node("--until-stdin-closes")
        node.kill()
        node.wait(20)
        self.assertIn("node 1  127.0.0.1:", self.kafka("status", self.folder).stdout)
        self.node("--until-stdin-closes")

    def test_a_node_is_started_once(self):
        self.prepare()
        self.node()
        self.assertIn("is running", self.kafka("node", self.folder, "1").stderr)

    def test_stop_ends_the_nodes_and_no_other_process(self):
        self.prepare()
        node = self.node()
        # This very process, as if a number had been given anew.
        (self.folder / "node-2.pid").write_text(str(os.getpid()))
        self.assertEqual(self.kafka("status", self.folder).returncode, 1)
        self.assertIn("1 nodes ended", self.kafka("stop", self.folder).stdout)
        self.assertEqual(node.wait(20), -15)


if __name__ == "__main__":
    unittest.main()
