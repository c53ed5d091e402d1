"""Registries of our own: docker-registry on a free port of 127.0.0.1."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

from .measure import Failed

MANIFESTS = ", ".join(
    [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


class Registry:
    """A registry that runs while the `with` block does; its storage stays."""

    def __init__(self, storage):
        self.storage = storage
        self.host = None
        self._process = None

    def __enter__(self):
        self.storage.mkdir(parents=True, exist_ok=True)
        self.host = f"127.0.0.1:{free_port()}"
        config = self.storage / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {json.dumps(str(self.storage))}}}}}\n"
            f"http: {{addr: {json.dumps(self.host)}}}\n"
        )
        with open(self.storage / "log", "wb") as log:
            # It dies with us even when we are killed.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", config],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._wait_until_it_answers()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def manifest(self, name):
        """The manifest of `REPO:TAG` or `REPO@DIGEST`, and its digest; (None, None) if there is none."""
        repository, _, reference = name.rpartition("@") if "@" in name else name.rpartition(":")
        url = f"http://{self.host}/v2/{repository}/manifests/{reference}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": MANIFESTS})) as answer:
                return json.load(answer), answer.headers["Docker-Content-Digest"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None, None
            raise

    def config(self, manifest):
        """The image's config."""
        return json.loads(self.blob(manifest["config"]["digest"]).read_bytes())

    def blob(self, digest):
        """The file that holds a blob."""
        hexadecimal = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"

    def _wait_until_it_answers(self):
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/").close()
                return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
        said = (self.storage / "log").read_text(errors="replace")[-2000:]
        self.__exit__()
        raise Failed(f"docker-registry does not answer on {self.host}: {said}")


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def discard(folder):
    """Removes a folder, after unmounting what a container tool left mounted in it."""
    folder = folder.resolve()
    with open("/proc/self/mountinfo") as table:
        points = [line.split()[4] for line in table]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], check=True)
    if folder.exists():
        shutil.rmtree(folder)
