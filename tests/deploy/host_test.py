"""Docker Compose, systemd units and the Dockerfile, each checked by its own tool."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


class Compose(unittest.TestCase):
    def config(self, **secrets):
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | secrets
        file = DEPLOY / "compose/compose.yaml"
        return run(TOOLS / "docker-compose", "-f", file, "config", env=environment)

    def test_configuration_is_valid(self):
        result = self.config(POSTGRES_PASSWORD="one", S3_SECRET_KEY="two")
        self.assertEqual(result.returncode, 0, result.stderr)
        services = yaml.safe_load(result.stdout)["services"]
        server = services["server"]
        self.assertTrue(server["read_only"])
        self.assertEqual(server["cap_drop"], ["ALL"])
        self.assertEqual(server["environment"]["SORTIE_DB_DSN"], "postgres://sortie:one@database:5432/sortie")
        # By default, only the server has a port, on the loopback interface.
        self.assertEqual([port["host_ip"] for port in server["ports"]], ["127.0.0.1"])
        self.assertEqual([name for name, service in services.items() if "ports" in service], ["server"])

    def test_missing_secret_fails(self):
        for given in ({"POSTGRES_PASSWORD": "one"}, {"S3_SECRET_KEY": "two"}):
            result = self.config(**given)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("set it in .env", result.stderr)

    def test_env_example_lists_every_variable(self):
        used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose/compose.yaml").read_text()))
        named = set(re.findall(r"^#?(\w+)=", (DEPLOY / "compose/.env.example").read_text(), re.M))
        self.assertEqual(used, named)


class Dockerfile(unittest.TestCase):
    def test_lint(self):
        result = run(TOOLS / "hadolint", DEPLOY / "image/Dockerfile")
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_build_context_contains_every_input(self):
        # The last matching line of .dockerignore decides; a line for a folder applies to its content.
        lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]

        def is_sent(path):
            sent = True
            for line in lines:
                pattern = line.removeprefix("!").removeprefix("/")
                if any(fnmatch.fnmatchcase(str(part), pattern) for part in (path, *path.parents[:-1])):
                    sent = line.startswith("!")
            return sent

        members = re.search(r"^members = \[(.*?)\]", (ROOT / "Cargo.toml").read_text(), re.M | re.S).group(1)
        for member in re.findall(r'"([^"]+)"', members) + ["Cargo.lock", "scripts", "index.html"]:
            self.assertTrue(is_sent(Path(member)), member)
        self.assertFalse(is_sent(Path("docs")))


@unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd")
class Systemd(unittest.TestCase):
    def unit(self, folder):
        # `verify` requires an existing program.
        text = (DEPLOY / "systemd/sortie-server.service").read_text()
        unit = Path(folder) / "sortie-server.service"
        unit.write_text(text.replace("/usr/bin/sortie-server", "/bin/true"))
        return unit

    def test_unit_is_valid(self):
        with tempfile.TemporaryDirectory() as folder:
            result = run("systemd-analyze", "verify", self.unit(folder))
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_unit_is_hardened(self):
        with tempfile.TemporaryDirectory() as folder:
            # In tenths of the exposure level; a level below 2 is the best class.
            result = run("systemd-analyze", "security", "--offline=true", "--threshold=15", self.unit(folder))
        self.assertEqual(result.returncode, 0, result.stdout[-300:])


class CaptureAgent(unittest.TestCase):
    FOLDER = DEPLOY / "agent"

    def test_unit_is_valid_and_hardened(self):
        with tempfile.TemporaryDirectory() as folder:
            text = (self.FOLDER / "sortie-capture-agent.service").read_text()
            unit = Path(folder) / "sortie-capture-agent.service"
            unit.write_text(text.replace("/usr/bin/sortie-capture-agent", "/bin/true"))
            result = run("systemd-analyze", "verify", unit)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            # Higher than the server's, as the agent needs devices and the user's groups.
            result = run("systemd-analyze", "security", "--offline=true", "--threshold=30", unit)
        self.assertEqual(result.returncode, 0, result.stdout[-300:])

    # Stands in for the program: package.sh only runs these commands. capture-agent/tests/packaging.rs tests the real ones.
    PROGRAM = r"""#!/bin/sh
case $1 in
man) printf '.TH sortie-capture-agent 1\n.SH NAME\nsortie\\-capture\\-agent \\- recorder\n' >"$2/sortie-capture-agent.1" ;;
completions) echo "# completions of $2" ;;
*) echo sortie-capture-agent 1.2.3 ;;
esac
"""

    def package(self, folder):
        binary = Path(folder) / "sortie-capture-agent"
        binary.write_text(self.PROGRAM)
        binary.chmod(0o755)
        result = run(self.FOLDER / "package.sh", binary, folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        (package,) = Path(folder).glob("sortie-capture-agent_1.2.3_*.deb")
        return package

    def test_package_passes_lintian(self):
        with tempfile.TemporaryDirectory() as folder:
            package = self.package(folder)
            result = run("lintian", "--allow-root", "--fail-on", "error,warning", package)
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_purge_removes_accounts_and_keeps_recordings(self):
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "var/lib/sortie"
            removed = [state / f"capture-agent.{end}" for end in ("db", "db-wal", "forward.json", "tls.pem")]
            kept = [state / "recordings/talk.mp4", Path(folder) / "var/lib/kvmd/msd/recordings/talk.mp4"]
            for file in removed + kept:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("content")
            environment = {"PATH": os.environ["PATH"], "DPKG_ROOT": folder}
            for action, remaining in (("remove", removed + kept), ("upgrade", removed + kept), ("purge", kept)):
                result = run("sh", self.FOLDER / "postrm", action, env=environment)
                self.assertEqual(result.returncode, 0, result.stderr)
                found = [file for file in removed + kept if file.exists()]
                self.assertEqual(found, remaining, action)

    def test_package_contains_program_units_and_configuration(self):
        with tempfile.TemporaryDirectory() as folder:
            package = self.package(folder)
            fields = run("dpkg-deb", "--field", package, "Depends").stdout
            self.assertIn("gstreamer1.0-plugins-bad", fields)
            content = run("dpkg-deb", "--contents", package).stdout
        for path in (
            "/usr/bin/sortie-capture-agent",
            "/usr/lib/systemd/system/sortie-capture-agent.service",
            "/usr/lib/udev/rules.d/60-sortie-capture.rules",
            "/etc/sortie/capture-agent.toml",
            "/usr/share/man/man1/sortie-capture-agent.1.gz",
            "/usr/share/bash-completion/completions/sortie-capture-agent",
            "/usr/share/zsh/vendor-completions/_sortie-capture-agent",
            "/usr/share/fish/vendor_completions.d/sortie-capture-agent.fish",
            "/usr/share/doc/sortie-capture-agent/copyright",
        ):
            self.assertIn(f".{path}\n", content)
        # The configuration may contain passwords.
        self.assertRegex(content, r"-rw------- root/root .*/etc/sortie/capture-agent.toml")
