"""Tests of scripts/kafka.py with a fake everyframe that only waits."""

import importlib.util
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "kafka.py"

# Like `everyframe broker`: a process with the settings among its words, whose id is in the folder, and which listens.
EVERYFRAME = f"""#!{sys.executable}
import os, re, socket, sys, time
if "node" not in sys.argv[1]:
    data, settings = sys.argv[3], sys.argv[5]
    os.makedirs(data, exist_ok=True)
    open(data + "/node.pid", "w").write(str(os.getpid()))
    port = re.search(r"PLAINTEXT://127.0.0.1:(\\d+)", open(settings).read())[1]
    os.execv(sys.executable, [sys.executable, sys.argv[0], "node", data + "/server.properties", port])
listener = socket.create_server(("127.0.0.1", int(sys.argv[3])))
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
        program = Path(folder.name) / "bin/everyframe"
        program.parent.mkdir()
        program.write_text(EVERYFRAME)
        program.chmod(0o755)
        self.environment = {**os.environ, "EVERYFRAME_BIN": str(program.parent)}

    def kafka(self, *words):
        return subprocess.run(
            [sys.executable, SCRIPT, *words], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    def prepare(self, *words):
        prepared = self.kafka("prepare", self.folder, *words)
        self.assertEqual(prepared.returncode, 0, prepared.stderr)
        return json.loads((self.folder / "cluster.json").read_text())

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
        for name in ("password", "keystore.pem", "node-1.properties"):
            self.assertEqual(stat.S_IMODE((self.folder / name).stat().st_mode), 0o600)
        self.assertEqual(list(self.folder.glob("*key.pem")), [])

    def test_a_cluster_is_not_laid_out_over_another(self):
        self.prepare()
        self.assertIn("holds a cluster already", self.kafka("prepare", self.folder).stderr)

    def test_nodes_start_once_and_stop_without_other_processes(self):
        self.addCleanup(self.kafka, "stop", self.folder)
        started = self.kafka("start", self.folder)
        self.assertIn("Kafka runs: three nodes", started.stdout, started.stderr)
        process = (self.folder / "node-1/node.pid").read_text()
        self.kafka("start", self.folder)
        self.assertEqual((self.folder / "node-1/node.pid").read_text(), process)
        self.assertEqual(self.kafka("status", self.folder).returncode, 0)
        # This very process, as if a number had been given anew.
        second = int((self.folder / "node-2/node.pid").read_text())
        (self.folder / "node-2/node.pid").write_text(str(os.getpid()))
        self.assertEqual(self.kafka("status", self.folder).returncode, 1)
        self.assertIn("2 nodes ended", self.kafka("stop", self.folder).stdout)
        (self.folder / "node-2/node.pid").write_text(str(second))
        self.assertIn("1 nodes ended", self.kafka("stop", self.folder).stdout)


if __name__ == "__main__":
    unittest.main()
