"""The chart: it lints, refuses wrong values, renders what a real API server takes, and keeps its promises.

Run by tests/run, after it has built `farthing`; needs helm-python-sdk, kubernetes-validate, PyYAML, readelf.
"""
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest

import helm_python as helm
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/farthing"
FARTHING = pathlib.Path(os.environ.get("FARTHING") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/farthing")
KUBERNETES = "1.33.0"
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
WORKLOADS = {"Deployment", "StatefulSet"}


def values(name):
    return yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text())


def merged(some, more):
    both = {key: merged(some[key], more[key]) for key in some.keys() & more.keys() if isinstance(some[key], dict)}
    return {**some, **more, **both}


def render(given, name="demo"):
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(given)
        files = chart.render(given, name=name, namespace="billing")
    documents = []
    for path, text in sorted(files.items()):
        if not path.endswith(".txt"):
            documents += [document for document in yaml.safe_load_all(text) if document]
    return documents


def pod_specs(documents):
    for document in documents:
        template = document.get("spec", {}).get("template")
        if template:
            yield document["metadata"]["name"], template["spec"]


def containers(documents):
    for name, spec in pod_specs(documents):
        for container in spec.get("initContainers", []) + spec["containers"]:
            yield f"{name}/{container['name']}", container


class Chart(unittest.TestCase):
    def setUp(self):
        self.minimal = render(values("minimal"))
        self.full = render(values("full"))

    def named(self, documents, kind, name):
        found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
        self.assertEqual(len(found), 1, f"{kind} {name}")
        return found[0]

    def test_lint_finds_nothing(self):
        for case in ("minimal", "full"):
            found = helm.lint(str(CHART), values=values(case), strict=True)
            worse_than_info = [m for m in found["messages"] if m["severity"] > 1]
            self.assertEqual(worse_than_info, [], case)

    def test_manifests_are_valid_for_kubernetes(self):
        for case in (self.minimal, self.full):
            known = [d for d in case if d["kind"] not in CUSTOM]
            self.assertGreater(len(known), 10)
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump_all(known, file)
                file.flush()
                judge = [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", KUBERNETES, file.name]
                result = subprocess.run(judge, capture_output=True, text=True)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_judge_of_manifests_refuses_a_broken_one(self):
        broken = copy.deepcopy(self.named(self.minimal, "Deployment", "demo-ingest"))
        broken["spec"]["template"]["spec"]["containers"][0]["port"] = 9600
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(broken, file)
            file.flush()
            judge = [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", KUBERNETES, file.name]
            self.assertNotEqual(subprocess.run(judge, capture_output=True).returncode, 0)

    def test_wrong_values_are_refused(self):
        cases = {
            "no brokers": ("log", {"kafka": {"brokers": ""}}),
            "unknown key": ("ingest", {"replica": 3}),
            "no shard": ("shards", 0),
            "a database that is none": ("books", {"postgres": {"url": "mysql://x", "existingSecret": "s"}}),
            "no password": ("charges", {"clickhouse": {"url": "http://c:8123", "existingSecret": ""}}),
            "SASL without a user": ("log", {"kafka": {"brokers": "k:9092", "security": "sasl_ssl"}}),
            "client certificates without TLS": ("tls", {"clientCa": True}),
            "a key of the configuration that is none": ("config", {"ingest": {"calls max": 1}}),
            "a fraction, where no key takes one": ("config", {"ingest": {"calls_max": 0.5}}),
            "no place for snapshots": ("rater", {"snapshots": ""}),
            "snapshots in no place": ("rater", {"snapshots": "backups"}),
            "snapshots where nothing is mounted": ("rater", {"snapshots": "/backups/farthing"}),
        }
        for case, (key, value) in cases.items():
            given = {**values("minimal"), key: value}
            with self.subTest(case), self.assertRaises(helm.HelmError):
                render(given)

    def test_nothing_runs_as_root_or_writes_its_image(self):
        for documents in (self.minimal, self.full):
            for name, spec in pod_specs(documents):
                self.assertTrue(spec["securityContext"]["runAsNonRoot"], name)
                self.assertEqual(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", name)
                self.assertFalse(spec["automountServiceAccountToken"], name)
            for name, container in containers(documents):
                security = container["securityContext"]
                self.assertTrue(security["readOnlyRootFilesystem"], name)
                self.assertFalse(security["allowPrivilegeEscalation"], name)
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]}, name)
                self.assertIn("memory", container["resources"]["limits"], name)

    def test_probes_ask_in_plain_text_and_liveness_asks_no_dependency(self):
        for documents in (self.minimal, self.full):
            for name, container in containers(documents):
                if name.endswith("/farthing"):
                    self.assertEqual(container["livenessProbe"]["httpGet"], {"path": "/healthz", "port": "health"}, name)
                    self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "health"}, name)
                    self.assertIn({"name": "health", "containerPort": 9601}, container["ports"], name)
            config = self.named(documents, "ConfigMap", "demo-config")["data"]
            self.assertTrue(all(tomllib.loads(text)["health"]["listen"].endswith(":9601") for text in config.values()))
        monitor = self.named(self.full, "ServiceMonitor", "demo")["spec"]["endpoints"]
        self.assertEqual([(one["port"], "scheme" in one) for one in monitor], [("health", False)])

    def test_prometheus_finds_each_pod_once_and_callers_do_not_find_metrics(self):
        pods = {d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in self.full if d["kind"] in WORKLOADS}
        open_to_the_world = {stage: {"service": {"type": "LoadBalancer"}} for stage in ("ingest", "invoicer")}
        documents = render({**values("full"), **open_to_the_world})
        monitor = self.named(documents, "ServiceMonitor", "demo")["spec"]["selector"]["matchLabels"].items()
        asked = []
        for document in documents:
            if document["kind"] == "Service":
                spec, name = document["spec"], document["metadata"]["name"]
                ports = [port["targetPort"] for port in spec["ports"]]
                self.assertIn(ports, (["farthing"], ["health"]), name)
                if ports == ["health"]:
                    # Of each pod, ready or not, and of no address that balances.
                    self.assertEqual((spec["clusterIP"], spec["publishNotReadyAddresses"]), ("None", True), name)
                    self.assertLessEqual(monitor, document["metadata"]["labels"].items())
                    asked += [pod for pod, labels in pods.items() if spec["selector"].items() <= labels.items()]
        self.assertEqual(sorted(asked), ["demo-ingest", "demo-invoicer", "demo-rater"])

    def test_the_network_lets_through_what_is_asked_and_no_more(self):
        rules = {d["metadata"]["name"]: d["spec"] for d in self.full if d["kind"] == "NetworkPolicy"}
        self.assertEqual(set(rules), {"demo", "demo-rater-role"})
        came = {rule["ports"][0]["port"]: rule["from"] for rule in rules["demo"]["ingress"]}
        own = {"podSelector": rules["demo"]["podSelector"]}
        self.assertEqual(came[9600], [own, {"namespaceSelector": {"matchLabels": {"team": "backend"}}}])
        self.assertEqual(came[9601], [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}])
        self.assertIn({"to": [own], "ports": [{"protocol": "TCP", "port": 9600}]}, rules["demo"]["egress"])
        self.assertEqual([d["metadata"]["name"] for d in self.minimal if d["kind"] == "NetworkPolicy"], ["demo"])
        for spec in rules.values():
            for rule in spec["egress"]:
                metadata = [port for port in rule["ports"] if port["port"] == 80]
                self.assertTrue(not metadata or all("ipBlock" in to for to in rule["to"]))

    def test_the_job_is_new_with_each_release(self):
        args = self.named(self.minimal, "Job", "demo-migrate-1")["spec"]["template"]["spec"]["containers"][0]["args"]
        self.assertEqual(args, ["migrate", "--config", "/etc/farthing/migrate.toml"])

    def test_every_stage_has_a_budget_and_rolls_without_a_gap(self):
        budgets = {d["metadata"]["name"] for d in self.minimal if d["kind"] == "PodDisruptionBudget"}
        self.assertEqual(budgets, {"demo-ingest", "demo-rater", "demo-invoicer"})
        for stage in ("ingest", "invoicer"):
            strategy = self.named(self.minimal, "Deployment", f"demo-{stage}")["spec"]["strategy"]
            self.assertEqual(strategy["rollingUpdate"], {"maxUnavailable": 0, "maxSurge": 1}, stage)

    def test_ingest_grows_by_its_cpu_and_nothing_else_says_how_many(self):
        scaler = self.named(self.minimal, "HorizontalPodAutoscaler", "demo-ingest")["spec"]
        ingest = self.named(self.minimal, "Deployment", "demo-ingest")["spec"]
        self.assertEqual((scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]), ("Deployment", "demo-ingest"))
        self.assertGreater(scaler["maxReplicas"], scaler["minReplicas"])
        self.assertNotIn("replicas", ingest)
        self.assertIn("cpu", ingest["template"]["spec"]["containers"][0]["resources"]["requests"])

    def test_invoicers_know_each_other(self):
        container = self.named(self.full, "Deployment", "demo-invoicer")["spec"]["template"]["spec"]["containers"][0]
        address = {"name": "FARTHING_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        self.assertIn(address, container["env"])
        config = tomllib.loads(self.named(self.full, "ConfigMap", "demo-config")["data"]["invoicer.toml"])
        self.assertEqual(config["invoicer"], {"server_name": "demo-invoicer", "ca_file": "/run/secrets/tls/ca.crt"})

    def test_each_stage_gets_only_the_secrets_it_needs(self):
        needs = {"ingest": {"farthing-postgres"}, "rater": {"farthing-clickhouse"},
                 "invoicer": {"farthing-postgres", "farthing-clickhouse"}, "migrate-1": {"farthing-postgres", "farthing-clickhouse"}}
        seen = {}
        for name, spec in pod_specs(self.minimal):
            secrets = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
            seen[name.removeprefix("demo-")] = secrets
        self.assertEqual(seen, needs)

    def test_configuration_is_toml_and_names_files_that_are_mounted(self):
        for documents in (self.minimal, self.full):
            config = self.named(documents, "ConfigMap", "demo-config")["data"]
            for name, spec in pod_specs(documents):
                stage = name.removeprefix("demo-").removesuffix("-1")
                text = config[f"{stage}.toml"]
                tomllib.loads(text)
                self.assertNotRegex(text, r'password\s*=', stage)
                mounts = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
                if stage == "migrate":
                    text = re.sub(r"\n\[tls\]\n[^\[]*", "\n", text)
                for path in re.findall(r'"(/run/secrets/[^"]+)"', text):
                    self.assertIn(str(pathlib.PurePosixPath(path).parent), mounts, f"{stage}: {path}")

    def test_what_the_chart_writes_the_program_takes(self):
        every = {
            "config": {"connections_max": 2048, "allow_plaintext": True, "log": {"kafka": {"durability_given_up": True, "sasl": {"user": "else"}}},
                       "telemetry": {"filter": "warn,rater=\"debug\""}},
            "ingest": {"config": {"ingest": {"calls_max": 8192, "queued_bytes_max": 4294967296}, "connections_max": 4096}},
            "rater": {"snapshots": "/backups/farthing", "config": {"rater": {"ids_bytes_max": 4294967296, "snapshot_every": "5m"}},
                      "extraVolumes": [{"name": "backups", "nfs": {"server": "n", "path": "/"}}],
                      "extraVolumeMounts": [{"name": "backups", "mountPath": "/backups"}]},
            "invoicer": {"config": {"invoicer": {"logos": "/logos"}}},
        }
        with_all = render(merged(values("full"), every))
        config = self.named(with_all, "ConfigMap", "demo-config")["data"]
        read = {stage: tomllib.loads(config[f"{stage}.toml"]) for stage in ("ingest", "rater", "invoicer", "migrate")}
        for stage, file in read.items():
            kafka = file["log"]["kafka"]
            self.assertEqual((kafka["durability_given_up"], kafka["sasl"]["user"], kafka["sasl"]["mechanism"], kafka["shards"]),
                             (True, "else", "SCRAM-SHA-512", 128), stage)
            self.assertEqual((file["telemetry"]["log"], file["telemetry"]["filter"]), ("json", 'warn,rater="debug"'), stage)
        self.assertEqual([file["connections_max"] for file in read.values()], [4096, 2048, 2048, 2048])
        self.assertEqual(read["ingest"]["ingest"], {"calls_max": 8192, "queued_bytes_max": 4294967296})
        self.assertEqual(read["rater"]["rater"], {"data": "/data", "snapshots": "/backups/farthing", "ids_bytes_max": 4294967296, "snapshot_every": "5m"})
        self.assertEqual(read["invoicer"]["invoicer"], {"server_name": "demo-invoicer", "ca_file": "/run/secrets/tls/ca.crt", "logos": "/logos"})
        unknown = render(merged(values("minimal"), {"rater": {"config": {"rater": {"ids_byte_max": 1}}}}))
        for documents, complaint in ((self.minimal, None), (self.full, None), (with_all, None), (unknown, "ids_bytes_max")):
            config = self.named(documents, "ConfigMap", "demo-config")["data"]
            with tempfile.TemporaryDirectory() as folder:
                for stage in ("ingest", "rater", "invoicer"):
                    text = config[f"{stage}.toml"].replace("/run/secrets", folder)
                    for password in re.findall(r'password_file = "([^"]+)"', text):
                        pathlib.Path(password).parent.mkdir(exist_ok=True)
                        pathlib.Path(password).write_text("secret")
                    file = pathlib.Path(folder, "farthing.toml")
                    file.write_text(text)
                    said = subprocess.run([FARTHING, "serve", stage, "--check", "--config", file], capture_output=True, text=True)
                    if complaint and stage == "rater":
                        self.assertNotEqual(said.returncode, 0)
                        self.assertIn(complaint, said.stderr)
                    else:
                        self.assertEqual((said.returncode, said.stderr), (0, ""), f"{stage}:\n{text}")

    def test_what_a_stage_is_given_besides_gets_into_its_pod(self):
        for stage in ("ingest", "rater", "invoicer", "migrate"):
            volume, mount = {"name": "more", "emptyDir": {}}, {"name": "more", "mountPath": "/more"}
            more = {"extraArgs": ["--more", "a b"], "extraEnv": [{"name": "MORE", "value": "1"}], "extraVolumes": [volume], "extraVolumeMounts": [mount]}
            given = dict(pod_specs(render(merged(values("minimal"), {stage: more}))))
            plain = dict(pod_specs(self.minimal))
            for name, spec in given.items():
                container, before = spec["containers"][0], plain[name]["containers"][0]
                if name.removeprefix("demo-").removesuffix("-1") == stage:
                    self.assertEqual(container["args"], before["args"] + more["extraArgs"], name)
                    self.assertEqual(container["env"], before.get("env", []) + more["extraEnv"], name)
                    self.assertEqual(spec["volumes"], plain[name]["volumes"] + [volume], name)
                    self.assertEqual(container["volumeMounts"], before["volumeMounts"] + [mount], name)
                else:
                    self.assertEqual(spec, plain[name], name)
            self.assertEqual(len(given), 4)

    def test_a_system_can_be_installed_before_it_runs(self):
        none = {"ingest": {"replicas": 0, "autoscaling": {"enabled": False}}, "rater": {"replicas": 0}, "invoicer": {"replicas": 0}}
        documents = render(merged(values("minimal"), none))
        self.assertEqual([d["spec"]["replicas"] for d in documents if d["kind"] in WORKLOADS], [0, 0, 0])
        self.assertEqual([d for d in documents if d["kind"] == "HorizontalPodAutoscaler"], [])
        self.named(documents, "Job", "demo-migrate-1")

    def test_a_rater_knows_its_number_and_keeps_its_volume(self):
        rater = self.named(self.full, "StatefulSet", "demo-rater")
        container = rater["spec"]["template"]["spec"]["containers"][0]
        self.assertIn({"name": "FARTHING_POD", "value": "$(POD)/8"}, container["env"])
        self.assertEqual(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.labels['apps.kubernetes.io/pod-index']")
        self.assertEqual(rater["spec"]["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Retain", "whenScaled": "Retain"})
        self.assertEqual(rater["spec"]["podManagementPolicy"], "Parallel")

    def test_the_compose_file_fits_its_configuration_and_the_chart(self):
        folder = ROOT / "deploy/compose"
        services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
        config = tomllib.loads((folder / "farthing.toml").read_text())
        ours = {name: service for name, service in services.items() if service.get("image") == "farthing"}
        self.assertEqual(set(ours), {"migrate", "ingest", "rater", "invoicer"})
        backends = {section: next(iter(config[section].items())) for section in ("log", "charges", "books")}
        for name, service in ours.items():
            mounts = dict(reversed(volume.split(":")[:2]) for volume in service["volumes"])
            file = service["command"][service["command"].index("--config") + 1]
            self.assertEqual(mounts.get(file), "./farthing.toml", name)
            # What the chart says to a stage, the file says, too.
            chart = tomllib.loads(self.named(self.minimal, "ConfigMap", "demo-config")["data"][f"{name}.toml"])
            for section, (backend, keys) in backends.items():
                said = set(chart.get(section, {}).get(backend, {})) - {"password_file", "retention", "security"}
                self.assertLessEqual(said, set(keys), f"{name}: {section}")
        for section, (backend, keys) in backends.items():
            host = re.search(r"([a-z]+)(:\d+)?(/\w+)?$", keys.get("url") or keys["brokers"]).group(1)
            self.assertIn(host, services, section)
            if variable := keys.get("password_env"):
                password = services[host]["environment"][variable]
                self.assertEqual({service["environment"][variable] for service in ours.values()}, {password})
        self.assertIn(config["rater"]["data"], [volume.split(":")[1] for volume in services["rater"]["volumes"]])

    def test_the_program_needs_no_library_that_its_image_lacks(self):
        said = subprocess.run(["readelf", "-d", str(FARTHING)], capture_output=True, text=True, check=True).stdout
        needs = set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))
        self.assertIn("libc.so.6", needs)
        # What is in distroless/cc: the C library's, and the compiler's.
        there = r"(libc|libm)\.so\.6|libpthread\.so\.0|libgcc_s\.so\.1|ld-linux-[a-z0-9-]*\.so\.[12]"
        self.assertEqual({name for name in needs if not re.fullmatch(there, name)}, set())

    def test_selectors_meet_their_pods_and_no_others(self):
        labels = {d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in self.full if "template" in d.get("spec", {})}
        for document in self.full:
            if document["kind"] == "Service":
                chosen = document["spec"]["selector"].items()
                meets = [name for name, pod in labels.items() if chosen <= pod.items()]
                self.assertEqual(meets, [document["metadata"]["name"].removesuffix("-metrics")])

    def test_two_releases_share_no_name(self):
        identity = lambda d: (d["kind"], d["metadata"]["name"])  # noqa: E731
        other = render(values("full"), name="other")
        self.assertEqual({identity(d) for d in self.full} & {identity(d) for d in other}, set())

    def test_alerts_and_dashboard_are_delivered_whole(self):
        alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
        groups = self.named(self.full, "PrometheusRule", "demo")["spec"]["groups"]
        self.assertEqual(groups[:-1], alerts["groups"])
        dashboard = self.named(self.full, "ConfigMap", "demo-dashboard")["data"]["farthing.json"]
        self.assertEqual(json.loads(dashboard), json.loads((CHART / "files/dashboard.json").read_text()))

    def test_alerts_know_how_much_there_has_to_be(self):
        fixed = merged(values("full"), {"ingest": {"replicas": 5, "autoscaling": {"enabled": False}}})
        for documents, ingest in ((self.full, 3), (render(fixed), 5)):
            spec = self.named(documents, "PrometheusRule", "demo")["spec"]
            said = {(rule["record"], rule.get("labels", {}).get("stage")): rule["expr"] for rule in spec["groups"][-1]["rules"]}
            replicas = {("farthing:replicas", stage): f"vector({count})" for stage, count in {"ingest": ingest, "rater": 8, "invoicer": 2}.items()}
            self.assertEqual(said, {("farthing:shards", None): "vector(128)", **replicas})
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump(spec, file)
                file.flush()
                subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, check=True)

    def test_the_runbook_speaks_of_every_alert(self):
        runbook = (ROOT / "docs/runbook.md").read_text()
        alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
        for rule in alerts["groups"][0]["rules"]:
            self.assertIn(f"## {rule['alert']}\n", runbook)


if __name__ == "__main__":
    program = unittest.main(verbosity=1, exit=False)
    broken = len(program.result.failures) + len(program.result.errors)
    print(f"test result: {'FAILED' if broken else 'ok'}. {program.result.testsRun - broken} passed; {broken} failed")
    sys.exit(bool(broken))
