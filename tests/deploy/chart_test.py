"""The Helm chart, rendered by Helm's own library and checked against Kubernetes' schemas."""

import tempfile
import unittest
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml

CHART = Path(__file__).parents[2] / "deploy/helm/sortie-recording"
# Oldest version that Chart.yaml allows, and newest version with a schema.
KUBERNETES = ["1.25", "1.37"]

# All Helm values below `recording`, with their defaults. Users rely on them.
RECORDING = {
    "enabled": False,
    "storageBackend": "local",
    "storagePath": "/data/recordings",
    "maxSizeMB": 500,
    "retentionDays": 0,
    "s3": {"bucket": "", "region": "us-east-1", "endpoint": "", "prefix": "recordings/"},
}

ON = {"recording": {"enabled": True}}
S3 = {"recording": {"enabled": True, "storageBackend": "s3", "s3": {"bucket": "videos"}}}
POSTGRES = {"database": {"type": "postgres", "existingSecret": "db"}}
PEER = {"namespaceSelector": {"matchLabels": {"team": "a"}}}

VALUES = {
    "defaults": {},
    "local": ON,
    "s3 with keys": S3 | {"s3Credentials": {"existingSecret": "s3"}},
    "azure": {
        "recording": {"enabled": True, "storageBackend": "azure"},
        "env": {"SORTIE_RECORDING_AZURE_CONTAINER": "videos", "AZURE_STORAGE_ACCOUNT_NAME": "account"},
    },
    "gcs": {"recording": {"enabled": True, "storageBackend": "gcs"}, "env": {"SORTIE_RECORDING_GCS_BUCKET": "videos"}},
    "s3 with IRSA": S3 | {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/r"}}},
    "postgres and s3": S3 | POSTGRES,
    "several replicas": S3 | POSTGRES | {"replicaCount": 3},
    "postgres and local": ON | POSTGRES,
    "below a path": ON | {
        "publicUrl": "https://a.example.com/recordings",
        "trustedProxies": ["10.42.0.0/16", "fd00::/8"],
        "ingress": {"enabled": True, "hosts": ["a.example.com"]},
    },
    "one host with TLS": ON | {
        "ingress": {"enabled": True, "hosts": ["a.example.com"], "tls": [{"secretName": "tls", "hosts": ["a.example.com"]}]},
    },
    "existing claims": ON | {"persistence": {"existingClaim": "mine"}, "state": {"existingClaim": "mine-too"}},
    "everything": ON | {
        "admin": {"existingSecret": "admin"},
        "jwt": {"existingSecret": "jwt"},
        "env": {"SORTIE_LOG": "debug", "SORTIE_RECORDING_SILENCE_SECONDS": 60},
        "extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}],
        "image": {"digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "service": {"type": "LoadBalancer", "port": 80, "annotations": {"a": "b"}},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "0"},
            "hosts": ["a.example.com", "b.example.com"],
            "tls": [{"secretName": "tls", "hosts": ["a.example.com"]}],
        },
        "networkPolicy": {
            "enabled": True,
            "from": [PEER],
            "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
        },
        "persistence": {"storageClass": "fast", "accessModes": ["ReadWriteMany"], "annotations": {"a": "b"}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"a": "b"},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    },
}

REFUSED = {
    "a misspelt key": ({"recording": {"enbled": True}}, "enbled"),
    "an unknown backend": ({"recording": {"storageBackend": "tape"}}, "storageBackend"),
    "s3 without a bucket": ({"recording": {"enabled": True, "storageBackend": "s3"}}, "recording.s3.bucket"),
    "postgres without a Secret": ({"database": {"type": "postgres"}}, "database.existingSecret"),
    "an ingress without hosts": ({"ingress": {"enabled": True}}, "ingress.hosts"),
    "several replicas with one volume": (ON | POSTGRES | {"replicaCount": 2}, "replicaCount"),
    "several replicas with SQLite": (S3 | {"replicaCount": 2}, "replicaCount"),
    "a public URL without a scheme": ({"publicUrl": "a.example.com"}, "publicUrl"),
    "a relative path": ({"recording": {"storagePath": "data"}}, "storagePath"),
    "a maximum size of 0": ({"recording": {"maxSizeMB": 0}}, "maxSizeMB"),
}


def render(values, name="sortie"):
    """Returns the rendered Kubernetes objects by (kind, name)."""
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name=name, namespace="recordings")
    manifests = "\n---\n".join(text for path, text in files.items() if path.endswith(".yaml"))
    objects = [item for item in yaml.safe_load_all(manifests) if item]
    found = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    assert len(found) == len(objects), "two objects of one kind and name"
    return found


def one(objects, kind):
    (found,) = [item for (of, _), item in objects.items() if of == kind]
    return found


def pod(objects):
    return one(objects, "Deployment")["spec"]["template"]["spec"]


def variables(objects):
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in pod(objects)["containers"][0]["env"]}


class Chart(unittest.TestCase):
    def test_lint(self):
        result = helm.lint(str(CHART))
        # Severity 1 is a recommendation, such as an icon.
        worse = [message for message in result["messages"] if message["severity"] > 1]
        self.assertEqual((worse, result["errors"]), ([], []))

    def test_recording_values_and_defaults_are_stable(self):
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertEqual(values["recording"], RECORDING)

    def test_every_value_set_is_valid_kubernetes(self):
        for name, values in VALUES.items():
            for version in KUBERNETES:
                for key, item in render(values).items():
                    with self.subTest(name, object=key, version=version):
                        kubernetes_validate.validate(item, version, strict=True)

    def test_invalid_objects_fail_the_schemas(self):
        item = one(render({}), "Service")
        item["spec"]["ports"][0]["prot"] = "TCP"
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(item, KUBERNETES[-1], strict=True)

    def test_wrong_values_are_refused_by_name(self):
        for name, (values, named) in REFUSED.items():
            with self.subTest(name), self.assertRaises(helm.HelmError) as refused:
                render(values)
            self.assertIn(named, str(refused.exception))

    def test_recording_values_reach_the_server(self):
        values = {
            "recording": {
                "enabled": True,
                "storageBackend": "s3",
                # Large enough that Helm parses it as a float.
                "maxSizeMB": 2000000,
                "retentionDays": 30,
                "s3": {"bucket": "b", "region": "r", "endpoint": "http://s3", "prefix": "p/"},
            }
        }
        found = variables(render(values))
        for name, value in {
            "SORTIE_VIDEO_RECORDING_ENABLED": "true",
            "SORTIE_RECORDING_STORAGE_BACKEND": "s3",
            "SORTIE_RECORDING_STORAGE_PATH": "/data/recordings",
            "SORTIE_RECORDING_MAX_SIZE_MB": "2000000",
            "SORTIE_RECORDING_RETENTION_DAYS": "30",
            "SORTIE_RECORDING_S3_BUCKET": "b",
            "SORTIE_RECORDING_S3_REGION": "r",
            "SORTIE_RECORDING_S3_ENDPOINT": "http://s3",
            "SORTIE_RECORDING_S3_PREFIX": "p/",
        }.items():
            self.assertEqual(found[name], value, name)

    def test_public_url_reaches_server_and_ingress(self):
        for values, address, path in (
            ("defaults", None, None),
            ("below a path", "https://a.example.com/recordings", "/recordings"),
            ("one host with TLS", "https://a.example.com", "/"),
            ("everything", None, "/"),
        ):
            with self.subTest(values):
                objects = render(VALUES[values])
                self.assertEqual(variables(objects).get("SORTIE_PUBLIC_URL"), address)
                if path:
                    rules = one(objects, "Ingress")["spec"]["rules"]
                    self.assertEqual({rule["http"]["paths"][0]["path"] for rule in rules}, {path})
        proxies = variables(render(VALUES["below a path"])).get("SORTIE_TRUSTED_PROXIES")
        self.assertEqual(proxies, "10.42.0.0/16,fd00::/8")
        self.assertNotIn("SORTIE_TRUSTED_PROXIES", variables(render({})))

    def test_other_storage_backends_are_set_by_variables(self):
        found = variables(render(VALUES["azure"]))
        self.assertEqual(found["SORTIE_RECORDING_STORAGE_BACKEND"], "azure")
        self.assertEqual(found["SORTIE_RECORDING_AZURE_CONTAINER"], "videos")
        self.assertFalse([name for name in found if "S3" in name])

    def test_secret_variables_reference_secrets(self):
        found = variables(render(S3 | POSTGRES | VALUES["s3 with keys"] | {
            "admin": {"existingSecret": "admin"},
            "jwt": {"existingSecret": "jwt"},
        }))
        for name, secret in {
            "SORTIE_DB_DSN": ("db", "dsn"),
            "SORTIE_ADMIN_PASSWORD": ("admin", "password"),
            "SORTIE_JWT_SECRET": ("jwt", "secret"),
            "AWS_ACCESS_KEY_ID": ("s3", "AWS_ACCESS_KEY_ID"),
            "AWS_SECRET_ACCESS_KEY": ("s3", "AWS_SECRET_ACCESS_KEY"),
        }.items():
            self.assertEqual(found[name], {"secretKeyRef": {"name": secret[0], "key": secret[1]}}, name)

    def test_irsa_annotates_the_service_account(self):
        objects = render(VALUES["s3 with IRSA"])
        account = one(objects, "ServiceAccount")
        self.assertIn("eks.amazonaws.com/role-arn", account["metadata"]["annotations"])
        self.assertEqual(pod(objects)["serviceAccountName"], account["metadata"]["name"])
        self.assertNotIn("AWS_ACCESS_KEY_ID", variables(objects))

    def test_persistent_data_has_a_claim(self):
        # Claims by value set. With SQLite, S3 also needs one: staged bytes are acknowledged.
        for name, expected in {
            "defaults": ["state"],
            "local": ["recordings", "state"],
            "s3 with keys": ["state"],
            "azure": ["state"],
            "gcs": ["state"],
            "postgres and s3": [],
            "postgres and local": ["recordings"],
            "existing claims": [],
        }.items():
            objects = render(VALUES[name])
            made = sorted(key[1].removeprefix("sortie-sortie-recording-") for key in objects if key[0].startswith("Pers"))
            self.assertEqual(made, expected, name)
        mounts = pod(render(VALUES["existing claims"]))
        claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in mounts["volumes"] if "persistentVolumeClaim" in v}
        self.assertEqual(claims, {"recordings": "mine", "state": "mine-too"})
        paths = {m["name"]: m["mountPath"] for m in mounts["containers"][0]["volumeMounts"]}
        self.assertEqual(paths["recordings"], "/data/recordings")

    def test_replicas_share_only_database_and_bucket(self):
        deployment = one(render(VALUES["several replicas"]), "Deployment")["spec"]
        self.assertEqual((deployment["replicas"], deployment["strategy"]), (3, {"type": "RollingUpdate"}))
        volumes = deployment["template"]["spec"]["volumes"]
        self.assertFalse([volume for volume in volumes if "persistentVolumeClaim" in volume])
        alone = one(render(VALUES["local"]), "Deployment")["spec"]
        self.assertEqual((alone["replicas"], alone["strategy"]), (1, {"type": "Recreate"}))

    def test_every_pod_is_restricted(self):
        for name, values in VALUES.items():
            with self.subTest(name):
                spec = pod(render(values))
                self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertFalse(spec["automountServiceAccountToken"])
                # A Service named "sortie" would set SORTIE_PORT to tcp://…
                self.assertFalse(spec["enableServiceLinks"])
                container = spec["containers"][0]["securityContext"]
                self.assertTrue(container["readOnlyRootFilesystem"])
                self.assertFalse(container["allowPrivilegeEscalation"])
                self.assertEqual(container["capabilities"], {"drop": ["ALL"]})

    def test_service_and_network_policy_select_the_pod(self):
        objects = render(VALUES["everything"])
        labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        for selector in (
            one(objects, "Service")["spec"]["selector"],
            one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
            one(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        ):
            self.assertTrue(selector and selector.items() <= labels.items())
        policy = one(objects, "NetworkPolicy")["spec"]
        self.assertEqual(policy["ingress"][0]["from"], [PEER])
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
        self.assertIn({"port": 53, "protocol": "UDP"}, policy["egress"][0]["ports"])

    def test_chart_can_be_packaged(self):
        with tempfile.TemporaryDirectory() as folder:
            helm.package(str(CHART), destination=folder)
            self.assertEqual([path.name for path in Path(folder).iterdir()], ["sortie-recording-0.1.0.tgz"])
