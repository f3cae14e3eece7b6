"""The container image: builds its last stage and starts it like Kubernetes.

The compiling stage needs a registry and ten minutes. The server of SORTIE_SERVER replaces its output, and this
machine's C library forms the base image.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVER = Path(os.environ.get("SORTIE_SERVER", ROOT / "target/tested/sortie-server")).resolve()
NOBODY = 65532


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if result.returncode:
        raise AssertionError(f"{command}: {result.stdout[-1000:]}{result.stderr[-2000:]}")
    return result.stdout


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def libraries(program):
    return re.findall(r"(/\S+) \(0x", run("ldd", program))


@unittest.skipUnless(shutil.which("buildah") and os.geteuid() == 0, "needs buildah, and root to create namespaces")
class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        # A temporary store, which needs no daemon or overlay file system.
        cls.buildah = ["buildah", "--root", cls.folder / "store", "--runroot", cls.folder / "run", "--storage-driver", "vfs"]
        base, built = cls.folder / "base", cls.folder / "built"
        for library in libraries(SERVER):
            target = base / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
        (base / "tmp").mkdir(mode=0o1777)
        (base / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        (built / "image/usr/bin").mkdir(parents=True)
        shutil.copy(SERVER, built / "image/usr/bin/sortie-server")
        (built / "volume/data/recordings").mkdir(parents=True)
        (built / "volume/data").chmod(0o700)
        run(*cls.buildah, "build", "--isolation", "chroot", "-t", "runtime", base)
        run(
            *cls.buildah, "build", "--isolation", "chroot", "-t", "server",
            "--build-arg", "RUNTIME=localhost/runtime", "--build-context", f"build={built}",
            "-f", ROOT / "deploy/image/Dockerfile", ROOT / "deploy/image",
        )
        image = json.loads(run(*cls.buildah, "inspect", "--type", "image", "localhost/server"))
        cls.config = image["OCIv1"]["config"]
        container = run(*cls.buildah, "from", "--pull=never", "localhost/server").strip()
        cls.root = Path(run(*cls.buildah, "mount", container).strip())
        cls.addClassCleanup(lambda: run(*cls.buildah, "umount", container))

    def start(self, *arguments, **variables):
        """Runs the entry point unprivileged in the image's read-only root with a separate volume for /data."""
        data = self.folder / "data"
        if not data.exists():
            shutil.copytree(self.root / "data", data, copy_function=shutil.copy2)
            for path in [data, *data.rglob("*")]:
                os.chown(path, NOBODY, NOBODY)
        # Replaces a container runtime: root creates the mounts, then drops all privileges.
        script = (
            'mount --bind "$ROOT" "$ROOT" && mount --bind "$DATA" "$ROOT/data" '
            '&& mount -o remount,ro,bind "$ROOT" && exec chroot --userspec=65532:65532 --groups= "$ROOT" "$@"'
        )
        environment = dict(item.split("=", 1) for item in self.config["Env"]) | variables
        entry = [*self.config["Entrypoint"], *arguments]
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, "sh", *entry],
            env={"ROOT": str(self.root), "DATA": str(data), "PATH": os.environ["PATH"]} | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def test_image_metadata_and_permissions(self):
        self.assertEqual(self.config["User"], f"{NOBODY}:{NOBODY}")
        self.assertEqual(self.config["Entrypoint"], ["/usr/bin/sortie-server"])
        self.assertEqual(list(self.config["Volumes"]), ["/data"])
        data = (self.root / "data").stat()
        self.assertEqual((data.st_uid, data.st_mode & 0o777), (NOBODY, 0o700))
        program = (self.root / "usr/bin/sortie-server").stat()
        self.assertEqual((program.st_uid, program.st_mode & 0o022), (0, 0))

    def test_server_runs_unprivileged_with_a_read_only_root(self):
        port = free_port()
        on = {"SORTIE_VIDEO_RECORDING_ENABLED": "true", "SORTIE_HOST": "127.0.0.1", "SORTIE_PORT": str(port)}
        server = self.start(**on)
        try:
            self.assertEqual(self.status(server, port, "/readyz") // 100, 2)
            self.assertEqual(self.status(server, port, "/"), 200)
            check = self.start("check-health", **on)
            self.assertEqual((check.communicate(timeout=30)[1], check.returncode), ("", 0))
            about = Path(f"/proc/{server.pid}/status").read_text()
            self.assertRegex(about, rf"Uid:\s+{NOBODY}\s+{NOBODY}\s")
            self.assertRegex(about, r"CapEff:\s+0+\n")
        finally:
            server.terminate()
            self.assertIn("First sign-in", server.communicate(timeout=30)[0])
        self.assertTrue((self.folder / "data/sortie.db").exists())
        # Without a running server, the health check fails.
        check = self.start("check-health", **on)
        self.assertIn("does not answer", check.communicate(timeout=30)[1])
        self.assertEqual(check.returncode, 1)

    def test_database_on_the_read_only_root_stops_the_start(self):
        server = self.start(SORTIE_DB="/usr/sortie.db", SORTIE_PORT="0")
        _, errors = server.communicate(timeout=30)
        self.assertNotEqual(server.returncode, 0)
        self.assertIn("SORTIE_DB", errors)

    def status(self, server, port, path):
        for _ in range(300):
            if server.poll() is not None:
                self.fail(server.stderr.read())
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                time.sleep(0.1)
        self.fail("the server does not start")
