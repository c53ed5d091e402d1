"""CPU time, wall time and peak memory of commands."""

import contextlib
import os
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass


class Failed(Exception):
    """A command or a check failed; the text says which, and why."""


@dataclass(frozen=True)
class Cost:
    """What commands cost.

    `cpu` is user and system time in seconds, of the whole process tree; `wall` is in seconds;
    `peak` is the largest resident set, in MiB, that a single process of the tree had.
    """

    cpu: float = 0.0
    wall: float = 0.0
    peak: float = 0.0

    def __add__(self, other):
        """One command after the other: times add up, the larger peak counts."""
        return Cost(self.cpu + other.cpu, self.wall + other.wall, max(self.peak, other.peak))


def run(argv, **options):
    """Runs a command to its end and returns its stdout; what it started ends with us."""
    return _finish(argv, **options)


def measured(argv, **options):
    """Runs a command and returns its cost and its stdout.

    GNU time is the parent of the command, so that the peak is the command's own and neither
    Python's nor that of the command before.
    """
    with tempfile.NamedTemporaryFile("r", prefix="bench-time-") as report:
        stdout = _finish(["/usr/bin/time", "--quiet", "-o", report.name, "-f", "%U %S %e %M", *argv], **options)
        user, system, wall, kibibytes = report.read().split("\n")[-2].split()
    return Cost(float(user) + float(system), float(wall), int(kibibytes) / 1024), stdout


def at_once(*calls):
    """What several calls return, which run at the same time; when we are interrupted, so are they."""
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for process in list(_running):
                _end(process)
            raise


def _finish(argv, cwd=None, env=None, stdin=None):
    argv = [str(word) for word in argv]
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _running.add(process)
    try:
        stdout, stderr = process.communicate()
    except BaseException:
        _end(process)
        raise
    finally:
        _running.discard(process)
    if process.returncode:
        said = stderr.decode(errors="replace").strip()[-2000:]
        raise Failed(f"{' '.join(argv)}\nended with {process.returncode}: {said}")
    return stdout.decode(errors="surrogateescape")


def _end(process):
    """Ends a command that was cut short, with the children in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


_running = set()
