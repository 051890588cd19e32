"""Tests of the deployment examples, as far as possible without a cluster."""

import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "examples" / "deploy"

try:
    import yaml
except ImportError:
    yaml = None


@unittest.skipUnless(yaml, "no PyYAML")
class Manifests(unittest.TestCase):
    def test_compose_has_three_brokers_and_everything_it_names(self):
        compose = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
        services = compose["services"]
        self.assertEqual(sorted(services), ["camera", "host", "kafka-1", "kafka-2", "kafka-3"])
        voters = services["kafka-1"]["environment"]["KAFKA_CONTROLLER_QUORUM_VOTERS"]
        for number in "123":
            service = services[f"kafka-{number}"]
            self.assertEqual(service["environment"]["KAFKA_NODE_ID"], number)
            self.assertIn(f"{number}@kafka-{number}:9093", voters)
        for service in services.values():
            for volume in service["volumes"]:
                source = volume.split(":")[0]
                if not source.startswith("."):
                    self.assertIn(source, compose["volumes"])
        self.assertTrue((DEPLOY / "../.." / services["host"]["build"]["dockerfile"]).is_file())

    def test_kubernetes_names_fit_together(self):
        parts = {part["kind"]: part for part in yaml.safe_load_all((DEPLOY / "kubernetes/everyframe.yaml").read_text())}
        config = tomllib.loads(parts["ConfigMap"]["data"]["everyframe.toml"])
        compose = tomllib.loads((DEPLOY / "everyframe.toml").read_text())
        self.assertEqual(config["rules"], compose["rules"])
        self.assertEqual(config["vision"], compose["vision"])
        scaled = parts["ScaledObject"]["spec"]
        self.assertEqual(scaled["scaleTargetRef"]["name"], parts["Deployment"]["metadata"]["name"])
        self.assertEqual(scaled["maxReplicaCount"], config["topics"]["partitions"])
        trigger = scaled["triggers"][0]["metadata"]
        self.assertEqual(trigger["consumerGroup"], config["kafka"]["group"])
        self.assertEqual(trigger["bootstrapServers"], config["kafka"]["brokers"])
        pod = parts["Deployment"]["spec"]["template"]
        self.assertEqual(pod["metadata"]["labels"], parts["Deployment"]["spec"]["selector"]["matchLabels"])
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            self.assertEqual({mount["name"] for mount in container["volumeMounts"]}, volumes)
        secrets = {ref["name"] for ref in parts["TriggerAuthentication"]["spec"]["secretTargetRef"]}
        self.assertIn(parts["Secret"]["metadata"]["name"], secrets)
        self.assertEqual(trigger["tls"], "enable")

    def test_kubernetes_cameras_fit_the_hosts_and_kafka(self):
        def read(name):
            return {part["kind"]: part for part in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())}

        hosts, cameras, kafka = read("everyframe.yaml"), read("cameras.yaml"), read("kafka.yaml")
        config, of_hosts = (tomllib.loads(of["ConfigMap"]["data"]["everyframe.toml"]) for of in (cameras, hosts))
        for table in ("brokers", "properties"):
            self.assertEqual(config["kafka"][table], of_hosts["kafka"][table])
        self.assertEqual(config["topics"], of_hosts["topics"])
        self.assertEqual(config["kafka"]["properties"]["sasl.username"], kafka["KafkaUser"]["metadata"]["name"])
        pod = cameras["StatefulSet"]["spec"]["template"]["spec"]
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        claims = [claim["metadata"]["name"] for claim in cameras["StatefulSet"]["spec"]["volumeClaimTemplates"]]
        self.assertEqual({volume["name"] for volume in pod["volumes"]} | set(claims), set(mounts))
        for camera in config["cameras"]:
            folder, name = camera["password"]["file"].rsplit("/", 1)
            self.assertEqual(folder, mounts["passwords"])
            self.assertIn(name, cameras["Secret"]["stringData"])


@unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
class Units(unittest.TestCase):
    def test_no_argument_or_variable_holds_an_address(self):
        for unit in sorted((DEPLOY / "systemd").iterdir()):
            for line in unit.read_text().splitlines():
                if line.startswith(("ExecStart=", "Environment")):
                    self.assertNotRegex(line, r"rtsp:|--source-env|EnvironmentFile")

    def test_systemd_accepts_them(self):
        with tempfile.TemporaryDirectory() as folder:
            units = []
            for unit in sorted((DEPLOY / "systemd").iterdir()):
                # The program need not be installed here, and a template needs a name.
                text = unit.read_text().replace("/usr/local/bin/everyframe", "/bin/true")
                path = Path(folder) / unit.name.replace("@.", "@gate-1.")
                path.write_text(text)
                units.append(path)
            verify = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
            self.assertEqual((verify.returncode, verify.stdout + verify.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
