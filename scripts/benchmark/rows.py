"""The ways to take files out of an image in a registry, and the floors.

Each row reads the image from the source registry and pushes to a destination that is empty, so
that nothing there is skipped or mounted. What a row prepares or clears away is not measured.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from .images import Image
from .measure import Failed, measured, run


@dataclass
class Job:
    """What one run of a row works on."""

    image: Image
    # The image by digest, and its layers as files.
    source: str
    layers: list
    # Where the result goes: HOST/REPO, without a tag.
    to: str
    # What a run may litter; cleared by the caller.
    scratch: Path
    immut: Path
    # A key pair without its endings .key and .pub.
    key: Path
    # Absolute paths that immut removed, and the config that it wrote. Empty for immut's first run.
    gone: list = field(default_factory=list)
    config: dict = field(default_factory=dict)

    @property
    def tagged(self):
        """The result's name, with the registry's."""
        return f"{self.to}:result"

    @property
    def result(self):
        """The result's name in its registry."""
        return self.tagged.partition("/")[2]

    def list_of_gone(self):
        """A file with the paths that go, relative to the root, each ended by a NUL byte.

        A directory stands for what is in it: all of that goes too, and tar wants it to be said once.
        """
        every = set(self.gone)
        topmost = [name for name in self.gone if name.rpartition("/")[0] not in every]
        path = self.scratch / "gone"
        path.write_bytes(b"".join(os.fsencode(name.lstrip("/")) + b"\0" for name in topmost))
        return path


def immut(job, *flags, sign=("--no-sign",)):
    """immut harden, with a stage that is new."""
    cost, _ = measured(
        [job.immut, "harden", "--quiet", *sign, *flags, "--stage", job.scratch / "stage"]
        + ["--receipt", job.scratch / "receipt.json", "--to", job.to, "--tag", "result", job.source],
        env={"COSIGN_PASSWORD": PASSWORD},
    )
    return cost


def immut_signed(job):
    """immut harden with a signature, in both formats."""
    return immut(job, sign=("--key", f"{job.key}.key"))


def immut_recompress(job):
    """immut harden that compresses again every layer which it changes."""
    return immut(job, RECOMPRESS)


def buildah(job):
    """buildah from, mount, rm, config, commit --squash, push."""
    store, cost = _buildah_removes(job)
    cost += measured([*store, "commit", "--quiet", "--squash", "work", "result"])[0]
    cost += measured([*store, "push", "--quiet", "--tls-verify=false", "result", f"docker://{job.tagged}"])[0]
    run([*store, "rm", "--all"])
    return cost


def buildah_straight(job):
    """The same, but committed straight to the registry, without an image in buildah's storage."""
    store, cost = _buildah_removes(job)
    straight = ["--tls-verify=false", "work", f"docker://{job.tagged}"]
    cost += measured([*store, "commit", "--quiet", "--squash", *straight])[0]
    run([*store, "rm", "--all"])
    return cost


def _buildah_removes(job):
    """buildah from, mount, rm, config."""
    store = ["buildah", "--root", job.scratch / "root", "--runroot", job.scratch / "run"]
    cost, _ = measured([*store, "from", "--quiet", "--tls-verify=false", "--name", "work", f"docker://{job.source}"])
    step, mounted = measured([*store, "mount", "work"])
    cost += step + _remove(mounted.strip(), job.list_of_gone())
    cost += measured([*store, "config", "--user", job.config["User"], "work"])[0]
    return store, cost


def crane(job):
    """crane export, tar --delete, crane append on an empty base, crane mutate for the config."""
    files = job.scratch / "files.tar"
    # In a pipe, since GNU tar 1.34 loses files when it deletes in place in a large archive.
    delete = "tar --delete --file - --null --verbatim-files-from --files-from"
    pipe = f'set -o pipefail; crane export "$1" - | {delete} "$2" >"$3"'
    cost, _ = measured(["bash", "-c", pipe, "crane", job.source, job.list_of_gone(), files])
    cost += measured(["crane", "append", "--oci-empty-base", "--new_layer", files, "--new_tag", job.tagged])[0]
    config = ["--set-platform", "linux/" + PLATFORMS[os.uname().machine], "--user", job.config["User"]]
    for flag, words in {"entrypoint": "Entrypoint", "cmd": "Cmd", "env": "Env"}.items():
        for word in job.config.get(words) or []:
            config += [f"--{flag}", word]
    cost += measured(["crane", "mutate", *config, "--tag", job.tagged, job.tagged])[0]
    return cost


def umoci(job):
    """skopeo copy to a layout, umoci unpack, rm, umoci repack, skopeo copy back."""
    layout, bundle = f"{job.scratch}/layout", job.scratch / "bundle"
    cost, _ = measured(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            f"docker://{job.source}",
            f"oci:{layout}:work",
        ]
    )
    cost += measured(["umoci", "unpack", "--image", f"{layout}:work", bundle])[0]
    cost += _remove(bundle / "rootfs", job.list_of_gone())
    cost += measured(["umoci", "repack", "--image", f"{layout}:result", bundle])[0]
    cost += measured(["umoci", "config", "--image", f"{layout}:result", "--config.user", job.config["User"]])[0]
    cost += measured(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            f"oci:{layout}:result",
            f"docker://{job.tagged}",
        ]
    )[0]
    return cost


def skopeo(job):
    """skopeo copy from registry to registry: nothing changes, every byte moves."""
    flags = ["--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
    return measured(["skopeo", "copy", *flags, f"docker://{job.source}", f"docker://{job.tagged}"])[0]


def skopeo_twice(job):
    """skopeo copy to a layout on the disk, and from there to the other registry."""
    layout = f"oci:{job.scratch}/layout:copy"
    cost, _ = measured(["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{job.source}", layout])
    return (
        cost + measured(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", layout, f"docker://{job.tagged}"])[0]
    )


def floor(job):
    """gzip -dc | sha256sum of every layer, one after the other."""
    return _each_layer(job, 'gzip -dc "$layer" | sha256sum')


def fast_floor(job):
    """The same with the fastest decoder in Debian, and a SHA-256 that uses the processor's instructions."""
    return _each_layer(job, 'libdeflate-gunzip -c "$layer" | openssl dgst -sha256')


def _each_layer(job, pipe):
    named = []
    for number, layer in enumerate(job.layers):
        named.append(job.scratch / f"{number}.gz")
        os.link(layer, named[-1])
    return measured(["bash", "-c", f"set -eo pipefail; for layer; do {pipe}; done", "floor", *named])[0]


def _remove(root, listed):
    """rm of the listed paths below a root."""
    if not os.path.isdir(f"{root}/usr"):
        raise Failed(f"{root} is no root of an image")
    return measured(["sh", "-c", 'cd "$1" && xargs -0 rm -rf -- <"$2"', "remove", root, listed])[0]


def can_recompress(program):
    """Whether this immut has the flag that the comparison with itself needs."""
    return RECOMPRESS in run([program, "harden", "--help"])


def make_key(program, prefix):
    """A key pair for the row that signs."""
    for ending in (".key", ".pub"):
        Path(f"{prefix}{ending}").unlink(missing_ok=True)
    run([program, "key", "generate", prefix], env={"COSIGN_PASSWORD": PASSWORD})


RECOMPRESS = "--recompress"
PASSWORD = "benchmark"
PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64"}

# What a row leaves: everything stays, the files are gone, or they are only hidden by a layer on top.
SAME, REMOVED, HIDDEN = "same", "removed", "hidden"


@dataclass(frozen=True)
class Row:
    """A line of the tables."""

    title: str
    work: object
    leaves: str = SAME
    # Whether the result goes where the source is, so that layers can be mounted.
    beside_source: bool = False
    # Whether the result is bit for bit what immut's first run made.
    exact: bool = False
    # Whether it is measured on (b), too.
    large: bool = True
    # Whether it is measured for the growth with size, too.
    grows: bool = False


ROWS = {
    "immut": Row("immut", immut, REMOVED, exact=True, grows=True),
    "immut-signed": Row("immut, signed", immut_signed, REMOVED, exact=True),
    "immut-mount": Row("immut, source and result in one registry", immut, REMOVED, exact=True, beside_source=True),
    "recompress": Row("immut `--recompress`", immut_recompress, REMOVED, grows=True),
    "buildah": Row("buildah, commit and push", buildah, REMOVED),
    "buildah-straight": Row("buildah, commit straight to the registry", buildah_straight, REMOVED, large=False),
    "crane": Row("crane and tar by hand", crane, REMOVED),
    "umoci": Row("umoci", umoci, HIDDEN),
    "skopeo": Row("`skopeo copy`, nothing removed", skopeo),
    "skopeo-twice": Row("`skopeo copy` by way of a layout, nothing removed", skopeo_twice),
    "floor": Row("`gzip -dc \\| sha256sum` of the layers", floor, grows=True),
    "fast-floor": Row("`libdeflate-gunzip \\| openssl dgst -sha256`", fast_floor, grows=True),
}
