"""Checks by other programs: that a result lacks what was to go, keeps the rest, and starts."""

import time
import urllib.request

from . import images
from .measure import Failed, at_once, run
from .registry import discard, free_port


def full(job, registry, reference, work):
    """All checks of a result, side by side; returns how many files are still in some layer."""
    *_, left = at_once(
        lambda: lacks(job.tagged, reference.before, reference.gone),
        lambda: starts(job.tagged, job.image, work),
        lambda: layers(job, registry, reference, work),
    )
    return left


def layers(job, registry, reference, _):
    """How many of the paths that were to go are still in some layer of the result."""
    manifest, _ = registry.manifest(job.result)
    left = set()
    for layer in manifest["layers"]:
        names = run(["tar", "tzf", registry.blob(layer["digest"]), "--quoting-style=literal"])
        left |= set(reference.gone) & set(_names(names))
    return len(left)


def listing(reference):
    """The names in an image's merged view, as `crane export | tar t` sees them: absolute, sorted."""
    pipe = 'set -o pipefail; crane export "$1" - | tar t --quoting-style=literal'
    return _names(run(["bash", "-c", pipe, "listing", reference]))


def lacks(reference, before, gone):
    """The merged view lacks each path that was to go, and nothing else of `before`."""
    after = listing(reference)
    left = set(gone) & set(after)
    if left:
        raise Failed(f"{reference} still has {len(left)} of {len(gone)} files, such as {min(left)}")
    lost = set(before) - set(gone) - set(after)
    if lost:
        raise Failed(f"{reference} lost {len(lost)} files that were to stay, such as {min(lost)}")


def starts(reference, image, work):
    """The image starts read-only and without capabilities as its own user, and answers."""
    podman = Podman(work)
    try:
        podman.run("pull", "--quiet", "--tls-verify=false", f"docker://{reference}")
        if image.name.startswith("a"):
            _answers_http(podman, reference)
        else:
            said = podman.run("run", "--rm", "--network", "none", *LOCKED, reference)
            if said.strip() != images.COMPUTED:
                raise Failed(f"{reference} said {said!r}, not {images.COMPUTED!r}")
    finally:
        podman.clear()


def _answers_http(podman, reference):
    """nginx answers; its port is another one than in the image, so that it is free here."""
    port = free_port()
    listen = podman.folder / "listen.conf"
    listen.write_text(f"listen 127.0.0.1:{port};\n")
    podman.run(
        "run", "--detach", "--name", "web", "--network", "host", *LOCKED,
        "--volume", f"{listen}:/etc/nginx/listen.conf:ro", reference,
    )  # fmt: skip
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                said = answer.read().decode()
            break
        except OSError:
            time.sleep(0.1)
    else:
        raise Failed(f"nginx of {reference} does not answer: {podman.run('logs', 'web')}")
    if said != images.ANSWER:
        raise Failed(f"nginx of {reference} said {said!r}")


class Podman:
    """podman with a storage of its own, which works in a container or a small virtual machine too."""

    def __init__(self, work):
        self.folder = work / "podman"
        discard(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / "containers.conf").write_text(CONTAINERS_CONF)
        self._store = [
            "--root",
            self.folder / "root",
            "--runroot",
            self.folder / "run",
            "--tmpdir",
            self.folder / "tmp",
        ]
        self._environment = {"CONTAINERS_CONF": str(self.folder / "containers.conf")}

    def run(self, *words):
        """Runs a podman command and returns what it says."""
        return run(["podman", *self._store, *words], env=self._environment)

    def clear(self):
        """Ends every container and removes the storage."""
        self.run("rm", "--all", "--force", "--time", "0")
        discard(self.folder)


def _names(lines):
    """Tar's names as absolute paths; directories end in no slash."""
    names = lines.split("\n")
    return sorted({"/" + name.removeprefix("./").strip("/") for name in names if name.strip("./")})


LOCKED = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]

CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
"""
