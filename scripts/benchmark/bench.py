"""Images and rows, and the order in which they run."""

import datetime
import json
import shutil
import sys
from dataclasses import asdict, astuple, dataclass

from . import checks, tools
from .images import Kitchen
from .measure import Failed, at_once
from .receipt import summary
from .registry import Registry, discard
from .rows import HIDDEN, ROWS, SAME, Job, can_recompress, immut, make_key
from .series import Series


class Bench:
    """Images and rows, and the order in which they run."""

    def __init__(self, options, work, results, versions):
        self.options = options
        self.work = work
        self.results = results
        self.versions = versions
        # The registry that has the images; it runs while `run` does.
        self.source = Registry(work / "source")
        self.key = work / "signing"
        self.rows = dict(ROWS)
        if not can_recompress(options.immut):
            del self.rows["recompress"]
            say("THIS immut HAS NO --recompress: that row is left out, and so is the comparison with itself")

    def run(self):
        """Makes the images that are not there yet, and measures; only images and results stay."""
        try:
            self.sections()
        finally:
            for folder in ("run", "build", "tmp"):
                discard(self.work / folder)

    def sections(self):
        """Each section that was asked for, kept as soon as it is measured."""
        make_key(self.options.immut, self.key)
        with self.source:
            kitchen = Kitchen(self.work, self.source)
            if "a" in self.options.only:
                self.results.keep("a", self.image(kitchen.nginx(), self.rows))
            if "b" in self.options.only:
                large = {name: row for name, row in self.rows.items() if row.large}
                self.results.keep("b", self.image(kitchen.science(self.options.quick), large))
            if "growth" in self.options.only:
                self.results.keep("growth", self.growth(kitchen))

    def image(self, image, rows):
        """Every row on one image, with checks of what the rows leave."""
        section = self.section()
        return {**section, **self.rounds(image, self.reference(image), rows, checks.full)}

    def growth(self, kitchen):
        """immut and the floors on the series that are cut from (b)."""
        section = self.section()
        plan = QUICK if self.options.quick else FULL
        origin = kitchen.science(self.options.quick)
        series = Series(kitchen, origin, self.name_of(origin), self.reference(origin).gone)
        images = [("size", series.sized(size)) for size in plan["sizes"]]
        images += [("layers", series.sized(plan["layers_mib"], layers)) for layers in plan["layers"]]
        images += [("entries", series.many(plan["entries"]))]
        rows = {name: row for name, row in self.rows.items() if row.grows}
        measured = {}
        for _, image in images:
            if image.name not in measured:
                measured[image.name] = self.rounds(image, self.reference(image), rows, checks.layers)
        return {**section, "points": [{"kind": kind, **measured[image.name]} for kind, image in images]}

    def rounds(self, image, reference, rows, check):
        """Each row once in every round, A B C, A B C, A B C; what the first round leaves is checked."""
        costs, left = {name: [] for name in rows}, {}
        for number in range(self.options.rounds):
            for name, row in rows.items():
                with self.destination(image, row) as (job, registry):
                    job.gone, job.config = reference.gone, reference.config
                    cost = row.work(job)
                    costs[name].append(astuple(cost))
                    say(f"{image.name} {number + 1} {name}: {_told(cost)}")
                    if row.exact:
                        self.compare(row, registry.manifest(job.result)[1], reference)
                    # What has the same digest is checked once.
                    if number == 0 and row.leaves != SAME and (name == "immut" or not row.exact):
                        left[name] = check(job, registry, reference, self.work)
                        if left[name] and row.leaves != HIDDEN:
                            raise Failed(f"{row.title} leaves {left[name]} files in the layers")
        return {
            "image": asdict(image),
            "gone": len(reference.gone),
            "receipt": summary(reference.receipt),
            "rows": costs,
            "left": left,
        }

    def compare(self, row, digest, reference):
        """The same image gives the same digest, in every round."""
        if digest != reference.digest:
            raise Failed(f"{row.title} gave {digest}, and {reference.digest} before")

    def reference(self, image):
        """What immut does to an image, from a run that is not measured: the other rows do the same."""
        with self.destination(image, ROWS["immut"]) as (job, registry):
            immut(job)
            (receipt,) = json.loads((job.scratch / "receipt.json").read_text())["platforms"]
            manifest, digest = registry.manifest(job.result)
            before, after = at_once(lambda: checks.listing(job.source), lambda: set(checks.listing(job.tagged)))
            # A hidden entry may go while a later layer still shows a file of its name.
            gone = sorted({entry["path"] for entry in receipt["removed"]} & set(before) - after)
            if not gone:
                raise Failed(f"immut removes nothing from {image.name}")
            return Reference(digest, before, gone, registry.config(manifest)["config"], receipt)

    def destination(self, image, row):
        """A place for one run of a row, empty."""
        return Destination(self, image, row)

    def name_of(self, image):
        """The image's name with the registry's, by digest."""
        return f"{self.source.host}/{image.repository}@{image.digest}"

    def section(self):
        """Where and when the figures of a section are from."""
        now = datetime.datetime.now(datetime.UTC)
        return {
            "when": now.strftime("%Y-%m-%d"),
            "machine": tools.machine(),
            "versions": self.versions,
            "rounds": self.options.rounds,
        }


@dataclass(frozen=True)
class Reference:
    """What immut's first run did to an image."""

    digest: str
    # The names in the source's merged view, and those of them that are gone.
    before: list
    gone: list
    # The part `config` of the result's config, and the receipt's part about the platform.
    config: dict
    receipt: dict


class Destination:
    """A run's job and the registry that its result goes to; all that it leaves is gone afterwards."""

    def __init__(self, bench, image, row):
        self.bench = bench
        self.image = image
        self.row = row
        self.scratch = bench.work / "run"

    def __enter__(self):
        self._clear()
        self.scratch.mkdir(parents=True)
        source = self.bench.source
        self.own = None if self.row.beside_source else Registry(self.scratch / "registry")
        registry = self.own.__enter__() if self.own else source
        job = Job(
            image=self.image,
            source=self.bench.name_of(self.image),
            layers=[source.blob(layer["digest"]) for layer in self.image.layers],
            to=f"{registry.host}/{RESULT}",
            scratch=self.scratch,
            immut=self.bench.options.immut,
            key=self.bench.key,
        )
        return job, registry

    def __exit__(self, *_):
        if self.own:
            self.own.__exit__()
        self._clear()

    def _clear(self):
        discard(self.scratch)
        discard(self.bench.source.storage / "docker/registry/v2/repositories" / RESULT)
        for known in (self.bench.work / "cache").iterdir():
            known.unlink() if known.is_file() else shutil.rmtree(known)


def _told(cost):
    return f"{cost.cpu:.2f} s of CPU, {cost.wall:.2f} s, {cost.peak:.1f} MiB"


def say(text):
    """Tells whoever waits."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


RESULT = "bench/result"

# The images that are cut: sizes in MiB of one layer, numbers of layers of one size, entries in two layers.
FULL = {
    "sizes": [50, 100, 200, 400, 800, 1300],
    "layers": [1, 2, 5, 10, 20],
    "layers_mib": 400,
    "entries": 50_000,
}
QUICK = {"sizes": [10, 30], "layers": [1, 3], "layers_mib": 20, "entries": 2000}
