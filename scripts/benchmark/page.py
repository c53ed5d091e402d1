"""docs/performance.md and its plot, from the saved results."""

from statistics import median

from . import plot
from .receipt import share
from .rows import HIDDEN, REMOVED, ROWS, SAME


def write(sections, folder):
    """Writes the page and the plot into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plot.svg(sections)
    if drawn:
        (folder / "performance.svg").write_text(drawn)
    (folder / "performance.md").write_text(page(sections))


def page(sections):
    """The page as Markdown; what was not measured is not mentioned."""
    images = [name for name in ("a", "b") if name in sections]
    parts = [INTRODUCTION, PLOT, READING]
    parts += [_image(name, sections[name]) for name in images]
    if images:
        parts.append(_copied(sections, images))
        parts.append(_memory(sections, images))
    if "growth" in sections:
        parts.append(_growth(sections["growth"]))
    if images:
        parts.append(_caveats(sections, images))
    parts += [_machine(sections), REPEAT]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _image(name, section):
    image, receipt = section["image"], section["receipt"]
    layers = image["layers"]
    ours = _median(section["rows"]["immut"], 0)
    lines = [
        f"## Image ({name}): {image['title']}",
        "",
        f"{_mb(layers, 'raw')} MB unpacked, {_mb(layers, 'bytes')} MB compressed, "
        f"{sum(layer['entries'] for layer in layers):,} entries. immut removes {receipt['removed']:,} of them.",
        "",
        "| layer | unpacked MB | compressed MB | entries | |",
        "|---|---|---|---|---|",
    ]
    for number, (layer, outcome) in enumerate(zip(layers, receipt["outcomes"]), 1):
        lines.append(f"| {number} | {_mb([layer], 'raw')} | {_mb([layer], 'bytes')} | {layer['entries']:,} | {outcome} |")
    lines += [
        "",
        f"Medians of {_times(section['rounds'])}; in brackets the lowest and the highest CPU time.",
        "",
        "| | CPU s | | wall s | peak MiB | CPU, immut = 1 | wall, immut = 1 |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    ours_wall = _median(section["rows"]["immut"], 1)
    for leaves, heading in HEADINGS.items():
        lines.append(f"| *{heading}* | | | | | | |")
        for key, costs in section["rows"].items():
            if ROWS[key].leaves == leaves:
                cpu, wall = _median(costs, 0), _median(costs, 1)
                lines.append(
                    f"| {ROWS[key].title} | {cpu:.2f} | {_range(costs)} | {wall:.2f} | {_median(costs, 2):.0f} "
                    f"| {cpu / ours:.2f} | {wall / ours_wall:.2f} |"
                )
    return "\n".join(lines)


def _copied(sections, images):
    lines = [
        "## How much is copied",
        "",
        "In the layers that immut rewrites, the share of unpacked bytes whose compressed form it takes over; the rest",
        "is compressed again. Layers that are not rewritten are taken over as a whole and do not count here.",
        "",
        "| image | layers rewritten | copied |",
        "|---|---:|---:|",
    ]
    for name in images:
        receipt = sections[name]["receipt"]
        lines.append(f"| ({name}) | {receipt['outcomes'].count('rewritten')} of {len(receipt['outcomes'])} | {share(receipt)} |")
    return "\n".join(lines)


def _memory(sections, images):
    lines = ["## Peak memory", "", "MiB, of the largest process.", "", "| | MB unpacked | entries | immut | buildah | crane | umoci | `skopeo copy` |", "|---|---:|---:|" + "---:|" * 5]
    measured = [(f"({name})", sections[name]) for name in images]
    measured += [(point["image"]["title"] + " layers", point) for point in _points(sections, "size")[-1:] + _points(sections, "entries")]
    for title, one in measured:
        layers = one["image"]["layers"]
        peaks = [f"{_median(one['rows'][key], 2):.0f}" if key in one["rows"] else "" for key in ("immut", "buildah", "crane", "umoci", "skopeo")]
        lines.append(f"| {title} | {_mb(layers, 'raw')} | {sum(layer['entries'] for layer in layers):,} | {' | '.join(peaks)} |")
    return "\n".join(lines)


def _growth(section):
    keys = list(section["points"][0]["rows"])
    sections = {"growth": section}
    parts = [
        "## Growth",
        "",
        "Images that are cut from the files of (b), with the same mix of contents and the same share to remove, so that",
        f"every layer is rewritten. Medians of {_times(section['rounds'])}.",
    ]
    for kind, heading in {"size": "### With size, in one layer", "layers": "### With the number of layers", "entries": "### Many entries"}.items():
        parts += ["", heading, ""]
        head = [f"{ROWS[key].title}, CPU s" for key in keys]
        parts.append(f"| MB unpacked | layers | entries | removed | copied | immut, peak MiB | immut, CPU ms for each MB | {' | '.join(head)} |")
        parts.append("|---:|---:|---:|---:|---:|---:|---:|" + "---:|" * len(keys))
        for point in _points(sections, kind):
            layers = point["image"]["layers"]
            ours = point["rows"]["immut"]
            cells = [
                _mb(layers, "raw"),
                str(len(layers)),
                f"{sum(layer['entries'] for layer in layers):,}",
                f"{point['receipt']['removed']:,}",
                share(point["receipt"]),
                f"{_median(ours, 2):.0f}",
                f"{1e9 * _median(ours, 0) / sum(layer['raw'] for layer in layers):.1f}",
                *(f"{_median(point['rows'][key], 0):.2f}" for key in keys),
            ]
            parts.append(f"| {' | '.join(cells)} |")
    return "\n".join(parts)


def _caveats(sections, images):
    left = [
        f"{sections[name]['left']['umoci']:,} of {sections[name]['gone']:,} in ({name})"
        for name in images
        if "umoci" in sections[name]["left"]
    ]
    return CAVEATS.replace("@LEFT@", " and ".join(left) or "all")


def _machine(sections):
    lines = ["## What it was measured on", ""]
    seen = []
    for name, section in sections.items():
        machine, versions = section["machine"], section["versions"]
        sha = "with" if machine["sha_ni"] else "without"
        said = (
            f"{section['when']}: {machine['processor']}, {machine['cores']} cores, {sha} SHA instructions, "
            f"{machine['memory_gib']} GiB of memory, {machine['system']}, Linux {machine['kernel']}. "
            + ", ".join(f"{program} {version}" for program, version in sorted(versions.items()))
            + "."
        )
        load = f"{LABELS[name]} (load average before: {machine['load_before']})"
        if seen and seen[-1][0] == said:
            seen[-1][1].append(load)
        else:
            seen.append((said, [load]))
    for said, names in seen:
        lines.append(f"- {', '.join(names)}, on {said}")
    return "\n".join(lines)


def _points(sections, kind):
    return [point for point in sections.get("growth", {}).get("points", []) if point["kind"] == kind]


def _median(costs, column):
    return max(median(cost[column] for cost in costs), 0.01)


def _range(costs):
    return f"({min(cost[0] for cost in costs):.2f} to {max(cost[0] for cost in costs):.2f})"


def _mb(layers, what):
    return f"{sum(layer[what] for layer in layers) / 1e6:.1f}"


def _times(rounds):
    return "one round" if rounds == 1 else f"{rounds} rounds"


LABELS = {"a": "Image (a)", "b": "image (b)", "growth": "growth"}

HEADINGS = {
    REMOVED: "the files are gone from every layer",
    HIDDEN: "a layer on top hides the files, they can still be downloaded",
    SAME: "nothing is removed: copies, and what decoding and hashing cost",
}

INTRODUCTION = """
<!-- Written by scripts/bench from what it measured. Change the script, not this page. -->

# Performance

What immut costs, next to the other ways to take files out of an image in a registry, next to a plain
copy, and next to what decompressing and hashing the layers costs by itself.
"""

PLOT = """
![CPU time against the unpacked size of an image](performance.svg)

Lines are images that are cut to size, see [Growth](#growth); the circles on dashed lines are images (a) and (b).
Both axes are logarithmic.
"""

READING = """
## How to read it

- **CPU s** is user and system time of every process of a row, but the registries'. **wall s** is on this machine, where
  both registries run beside the row. **peak MiB** is the largest resident set that one process had; of a row with several
  commands times are added up, and the largest peak counts.
- A row reads the image by digest from one registry and pushes to a second, empty one, over plain HTTP on the same machine.
  So no row can skip or mount a blob. In *source and result in one registry* immut mounts the layers which it does not
  change, as it does for anybody who hardens an image into another repository of the same registry.
- Every run is cold: a new stage or storage, an empty cache of known blobs, an empty destination. The files of the source
  registry are in the system's memory, for all rows.
- In a round each row runs once, then comes the next round: what else the machine does meets all rows alike.
- immut decides itself what to remove. The other rows are given its list, remove exactly that, and set the same user.
- Of each row's first result it was checked with `crane export | tar t` that every removed file is gone and every other file
  is there, with `tar t` on each layer that no layer has them (umoci: see below), and with podman that it starts: read-only,
  without capabilities, as the new user. nginx answered over HTTP, Python printed a sum that numpy made.
"""

CAVEATS = """
## What the rows do not say

- **The rows do not do the same.** immut reads every layer to find what to remove, proves from the image that the start does
  not need it, takes setuid bits away, gives the new user an account, writes a receipt, and reads its result back before it
  publishes it. The others do none of that; the cost of finding out what to remove is not in their figures.
- **umoci does not remove anything.** `umoci repack` puts a layer with deletions on top. Of the removed entries the layers
  below still hold: @LEFT@.
- **buildah and crane make one layer of all.** No layer is shared with other images any more, and a node that has the
  old image downloads everything anew. immut keeps the layers.
- **GNU tar 1.34 loses files** when it deletes in place in a large archive: of (b) seven that were to stay. The row of crane
  uses tar in a pipe, where that does not happen.
- **crane writes at Go's fastest level**, and starts from an empty config: user, entrypoint, arguments and environment are
  set by hand, the rest is lost.
- **The first floor is not the lowest possible.** `gzip` is not the fastest decoder there is, and Debian's `sha256sum` does not
  use the processor's instructions for it; a better program can be faster than it. libdeflate and openssl are about the
  fastest there are, but libdeflate holds a whole layer in memory.
- **A plain copy decompresses nothing**, so it can cost less than either floor. Whoever removes files from a layer, or checks
  its diff_id, has to decompress it.
- No row pays for TLS or for a network.
"""

REPEAT = """
## Measure it yourself

On Debian, as root (buildah mounts images, umoci unpacks them):

```sh
cargo build --release --locked
scripts/bench
```

`scripts/bench --help` tells the rest: fewer rounds, single parts, a quick run with small images, the page alone. The images
are made of Debian's packages and wheels of the day, so sizes will differ a little.
"""
