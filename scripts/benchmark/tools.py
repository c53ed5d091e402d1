"""Which programs the benchmark needs, their versions, and what machine this is."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Every program, with the Debian package that has it. The first ones come with scripts/peers.
PEERS = ["podman", "skopeo", "umoci", "docker-registry", "runc", "crane"]
PROGRAMS = {
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "tar": "tar",
    "gzip": "gzip",
    "sha256sum": "coreutils",
    "libdeflate-gunzip": "libdeflate-tools",
    "openssl": "openssl",
    "/usr/bin/time": "time",
    "setpriv": "util-linux",
    "xargs": "findutils",
}


def prepare():
    """Finds every program, installs what is missing (on Debian as root), and returns their versions."""
    peers = Path(os.environ.get("IMMUT_PEERS", ROOT / "target/peers")).resolve()
    os.environ["PATH"] = f"{peers / 'bin'}:{os.environ['PATH']}"
    debian = Path("/etc/debian_version").exists() and os.geteuid() == 0
    if debian and not all(map(shutil.which, PEERS)):
        subprocess.run([ROOT / "scripts/peers"], check=True, stdout=sys.stderr)
    wanted = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not _has_pip():
        wanted.append("python3-pip")
    if debian and wanted:
        _retry(["apt-get", "-qq", "update"])
        _retry(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *wanted])
    missing = [name for name in [*PEERS, *PROGRAMS] if not shutil.which(name)]
    if not _has_pip():
        missing.append("pip of this Python")
    for name in missing:
        print(f"missing: {name}", file=sys.stderr)
    if missing:
        sys.exit(1)
    return versions(peers)


def versions(peers):
    """The version of each program whose cost is compared."""

    def first_line(*argv):
        return subprocess.run(argv, capture_output=True, text=True).stdout.partition("\n")[0]

    # Debian builds crane without a version inside; the package knows it.
    crane = peers / "sid/crane/version"
    return {
        "buildah": first_line("buildah", "--version").split()[2],
        "crane": crane.read_text().strip() if crane.exists() else first_line("crane", "version"),
        "umoci": first_line("umoci", "--version").split()[2],
        "skopeo": first_line("skopeo", "--version").split()[2],
        "GNU tar": first_line("tar", "--version").split()[-1],
        "gzip": first_line("gzip", "--version").split()[-1],
        "sha256sum": first_line("sha256sum", "--version").split()[-1],
        "libdeflate-gunzip": first_line("dpkg-query", "-W", "-f", "${Version}", "libdeflate-tools") or "unknown",
        "openssl": first_line("openssl", "version").split()[1],
        "docker-registry": first_line("docker-registry", "--version").split()[2],
        "podman": first_line("podman", "--version").split()[2],
    }


def machine():
    """What the figures depend on: processor, memory, system, and how busy it was."""
    processor = _fields("/proc/cpuinfo", ":")
    memory = int(_fields("/proc/meminfo", ":")["MemTotal"].split()[0])
    system = _fields("/etc/os-release", "=")
    return {
        "processor": processor.get("model name", os.uname().machine),
        "cores": os.cpu_count(),
        "sha_ni": "sha_ni" in processor.get("flags", "").split(),
        "memory_gib": round(memory / 1024**2, 1),
        "system": system["PRETTY_NAME"].strip('"'),
        "kernel": os.uname().release,
        "load_before": round(os.getloadavg()[0], 1),
    }


def _fields(file, separator):
    """What a file of the system says, by name."""
    lines = [line.partition(separator) for line in Path(file).read_text().splitlines()]
    return {name.strip(): value.strip() for name, _, value in lines}


def _has_pip():
    return subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0


def _retry(argv):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for pause in (2, 5, 15):
        if subprocess.run(argv, env=environment, stdout=sys.stderr).returncode == 0:
            return
        print(f"bench: failed, again in {pause} s: {' '.join(argv)}", file=sys.stderr)
        time.sleep(pause)
    subprocess.run(argv, env=environment, stdout=sys.stderr, check=True)
