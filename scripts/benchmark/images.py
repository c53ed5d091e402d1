"""The images: Debian's packages and wheels, made by mmdebstrap and buildah, pushed by buildah.

An image is made once and then kept in the source registry; a changed recipe makes it again.
"""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .measure import Failed, run
from .registry import discard

SUITE = "bookworm"
PYTHON = "3.11"
SITE = f"/usr/local/lib/python{PYTHON}/dist-packages"
APT = """ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends {} \\
  && apt-get clean && rm -rf /var/lib/apt/lists/*"""

NGINX = """
FROM scratch
ADD base.tar /
{apt}
COPY site /
ENTRYPOINT ["/usr/sbin/nginx", "-e", "stderr", "-g", "daemon off;"]
"""
NGINX_CONF = """pid /tmp/nginx.pid;
events {}
http {
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server {
    include /etc/nginx/listen.conf;
    root /srv/www;
  }
}
"""
ANSWER = "nginx of the benchmark\n"

SCIENCE = """
FROM scratch
ADD base.tar /
{apt}
COPY wheels-1 {site}/
COPY wheels-2 {site}/
COPY app.py /app/app.py
ENTRYPOINT ["/usr/bin/python3", "/app/app.py"]
"""
APP = """import numpy
print("sum", int(numpy.arange(1001).sum()))
"""
COMPUTED = "sum 500500"


@dataclass(frozen=True)
class Image:
    """An image in the source registry."""

    name: str
    title: str
    repository: str
    digest: str
    # For each layer, lowest first: digest, bytes as they are in the registry, bytes unpacked, entries.
    layers: list = field(default_factory=list)

    @property
    def raw(self):
        """Bytes of all layers, unpacked."""
        return sum(layer["raw"] for layer in self.layers)

    @property
    def compressed(self):
        """Bytes of all layers as they are in the registry."""
        return sum(layer["bytes"] for layer in self.layers)


class Kitchen:
    """Makes images below the work folder and pushes them to the source registry."""

    def __init__(self, work, source):
        self.work = work
        self.source = source

    def nginx(self):
        """(a): a Debian root, nginx, a page."""
        recipe = NGINX.format(apt=APT.format("nginx-light"))

        def fill(context):
            site = context / "site"
            for path, text in {
                "etc/nginx/nginx.conf": NGINX_CONF,
                "etc/nginx/listen.conf": "listen 8080;\n",
                "srv/www/index.html": ANSWER,
            }.items():
                (site / path).parent.mkdir(parents=True, exist_ok=True)
                (site / path).write_text(text)

        return self._made("a", "Debian with nginx", recipe + NGINX_CONF, recipe, fill)

    def science(self, quick):
        """(b): a Debian root, Python with Node.js and a JDK, two layers of wheels, an application."""
        if quick:
            name, packages, wheels = "b-quick", "python3 python3-pip", (["numpy"], ["six"])
        else:
            name, packages = "b", "python3 python3-pip nodejs openjdk-17-jdk-headless"
            wheels = (
                ["numpy", "scipy", "pandas", "scikit-learn"],
                [
                    "pyarrow",
                    "matplotlib",
                    "contourpy",
                    "cycler",
                    "fonttools",
                    "kiwisolver",
                    "packaging",
                    "pillow",
                    "pyparsing",
                ],
            )
        recipe = SCIENCE.format(apt=APT.format(packages), site=SITE)

        def fill(context):
            _wheels(context / "wheels-1", wheels[0])
            _wheels(context / "wheels-2", wheels[1], "--no-deps")
            (context / "app.py").write_text(APP)

        title = "Debian with Python" + ("" if quick else ", Node.js, a JDK and wheels")
        return self._made(name, title, f"{recipe}{wheels}{APP}", recipe, fill)

    def keep(self, name, title, recipe, push):
        """The image that `push(reference)` writes, unless it is there from the same recipe already."""
        marker = self.work / "images" / f"{name}.json"
        repository = f"bench/{name}"
        key = hashlib.sha256(recipe.encode()).hexdigest()
        if marker.exists():
            kept = json.loads(marker.read_text())
            if kept.pop("recipe") == key and self.source.manifest(f"{repository}@{kept['digest']}")[0]:
                return Image(**{**kept, "title": title})
        print(f"bench: making image {name}", file=sys.stderr)
        push(f"{self.source.host}/{repository}:made")
        manifest, digest = self.source.manifest(f"{repository}:made")
        image = Image(name, title, repository, digest, [self._layer(one) for one in manifest["layers"]])
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps({**asdict(image), "recipe": key}, indent=1))
        return image

    def _made(self, name, title, recipe, containerfile, fill):
        def push(reference):
            context = self.work / "build" / name
            discard(self.work / "build")
            context.mkdir(parents=True)
            os.link(self._base(), context / "base.tar")
            fill(context)
            (context / "Containerfile").write_text(containerfile)
            store = ["--root", self.work / "build/root", "--runroot", self.work / "build/run"]
            run(["buildah", *store, "build", "--layers", "--isolation", "chroot", "--tag", name, context])
            run(["buildah", *store, "push", "--tls-verify=false", name, f"docker://{reference}"])
            discard(self.work / "build")

        return self.keep(name, title, recipe, push)

    def _base(self):
        """A Debian root of minimal size, as a tar archive."""
        base = self.work / "base.tar"
        if not base.exists():
            part = self.work / "base.part.tar"
            own = [path for path in map(Path, SOURCES) if path.exists() and SUITE in path.read_text()]
            run(["mmdebstrap", "--variant=minbase", SUITE, part, *own[:1]])
            part.rename(base)
        return base

    def _layer(self, descriptor):
        blob = self.source.blob(descriptor["digest"])
        with subprocess.Popen(["gzip", "-dc", blob], stdout=subprocess.PIPE) as gzip:
            counted = _Counted(gzip.stdout)
            with tarfile.open(fileobj=counted, mode="r|") as archive:
                entries = sum(1 for _ in archive)
            while counted.read(1 << 20):
                pass
        if gzip.returncode:
            raise Failed(f"gzip cannot read layer {descriptor['digest']}")
        return {
            "digest": descriptor["digest"],
            "bytes": descriptor["size"],
            "raw": counted.bytes,
            "entries": entries,
        }


class _Counted:
    """A reader that counts what it has given."""

    def __init__(self, inner):
        self.inner = inner
        self.bytes = 0

    def read(self, size=-1):
        data = self.inner.read(size)
        self.bytes += len(data)
        return data


def _wheels(into, names, *flags):
    platforms = [f"--platform=manylinux_{libc}_{os.uname().machine}" for libc in ("2_17", "2_28")]
    run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--target", into]
        + [f"--python-version={PYTHON}", "--only-binary=:all:", *platforms, *flags, *names]
    )


# Where a Debian machine names its own mirror.
SOURCES = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]
