"""docs/performance.md and its plot, from the saved results."""

from statistics import median

from . import plot, prose
from .receipt import share
from .rows import HIDDEN, REMOVED, ROWS, SAME

CPU, WALL, PEAK = 0, 1, 2


def write(sections, folder):
    """Writes the page and the plot into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plot.svg(sections)
    if drawn:
        (folder / "performance.svg").write_text(drawn)
    (folder / "performance.md").write_text(page(sections))


def page(sections):
    """The page as Markdown; what was not measured is not mentioned."""
    images = {name: sections[name] for name in ("a", "b") if name in sections}
    growth = sections.get("growth")
    parts = [prose.INTRODUCTION, prose.READING]
    parts += [_image(name, section) for name, section in images.items()]
    if images:
        parts += [_copied(images), _memory(images, growth)]
    if growth:
        parts.append(_growth(growth))
    if images:
        parts.append(prose.CAVEATS.replace("@LEFT@", _left(images)))
    parts += [_machine(sections), prose.REPEAT]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _image(name, section):
    """What an image is, and the rows on it."""
    layers, removed = section["image"]["layers"], section["receipt"]["removed"]
    outcomes = zip(layers, section["receipt"]["outcomes"], strict=True)
    described = [
        [number, _mb(layer), _mb(layer, what="bytes"), f"{layer['entries']:,}", outcome]
        for number, (layer, outcome) in enumerate(outcomes, 1)
    ]
    return "\n\n".join(
        [
            f"## Image ({name}): {section['image']['title']}",
            f"{_mb(*layers)} MB unpacked, {_mb(*layers, what='bytes')} MB compressed, {_entries(section)} entries. "
            f"immut removes {removed:,} of them.",
            _table(["layer", "MB unpacked", "MB compressed", "entries", "what immut does"], described, left=(0, 4)),
            f"Medians of {_times(section)}; behind the CPU time its lowest and highest value.",
            _rows(section["rows"]),
        ]
    )


def _rows(rows):
    """The main table: first what removes files, then what hides them, then what does neither."""
    ours = rows["immut"]
    lines = []
    for leaves, heading in HEADINGS.items():
        lines.append([f"*{heading}*", *[""] * 6])
        for key, costs in rows.items():
            if ROWS[key].leaves == leaves:
                spread = sorted(cost[CPU] for cost in costs)
                ratios = [f"{_median(costs, what) / _median(ours, what):.2f}" for what in (CPU, WALL)]
                cpu, wall, peak = (_median(costs, what) for what in (CPU, WALL, PEAK))
                lines.append(
                    [ROWS[key].title, f"{cpu:.2f}", f"{spread[0]:.2f} - {spread[-1]:.2f}", f"{wall:.2f}"]
                    + [f"{peak:.0f}", *ratios]
                )
    head = ["", "CPU s", "lowest - highest", "wall s", "peak MiB", "CPU, immut = 1", "wall, immut = 1"]
    return _table(head, lines)


def _copied(images):
    lines = []
    for name, section in images.items():
        outcomes = section["receipt"]["outcomes"]
        rewritten = f"{outcomes.count('rewritten')} of {len(outcomes)}"
        lines.append([f"({name})", rewritten, share(section["receipt"])])
    return f"{prose.COPIED.strip()}\n\n{_table(['image', 'layers rewritten', 'copied'], lines)}"


def _memory(images, growth):
    """Peak memory of small and large, of few entries and many, in one table."""
    keys = ["immut", "buildah", "crane", "umoci", "skopeo"]
    measured = [(f"({name})", section) for name, section in images.items()]
    for kind in ("size", "entries"):
        measured += [(point["image"]["title"], point) for point in _points(growth, kind)[-1:]]
    lines = [
        [title, _mb(*one["image"]["layers"]), _entries(one)]
        + [f"{_median(one['rows'][key], PEAK):.0f}" if key in one["rows"] else "" for key in keys]
        for title, one in measured
    ]
    return f"{prose.MEMORY.strip()}\n\n{_table(['image', 'MB unpacked', 'entries', *keys], lines)}"


def _growth(growth):
    parts = [f"{prose.GROWTH.strip()} Medians of {_times(growth)}."]
    for kind, heading in SERIES.items():
        parts += [f"### {heading}", _series(_points(growth, kind))]
    return "\n\n".join(parts)


def _series(points):
    keys = list(points[0]["rows"])
    head = ["MB unpacked", "layers", "entries", "removed", "copied", "immut, peak MiB", "immut, CPU ms for a MB"]
    lines = []
    for point in points:
        layers, ours = point["image"]["layers"], point["rows"]["immut"]
        speed = 1e9 * _median(ours, CPU) / sum(layer["raw"] for layer in layers)
        lines.append(
            [_mb(*layers), len(layers), _entries(point), f"{point['receipt']['removed']:,}", share(point["receipt"])]
            + [f"{_median(ours, PEAK):.0f}", f"{speed:.1f}"]
            + [f"{_median(point['rows'][key], CPU):.2f}" for key in keys]
        )
    return _table([*head, *(f"{ROWS[key].title}, CPU s" for key in keys)], lines, left=())


def _left(images):
    """How many files umoci leaves in the layers below."""
    told = [
        f"{section['left']['umoci']:,} of {section['gone']:,} in ({name})"
        for name, section in images.items()
        if "umoci" in section["left"]
    ]
    return " and ".join(told)


def _machine(sections):
    """Where and when; sections that were measured alike share a line."""
    alike = {}
    for name, section in sections.items():
        machine = section["machine"]
        instructions = "with" if machine["sha_ni"] else "without"
        versions = ", ".join(f"{program} {version}" for program, version in sorted(section["versions"].items()))
        said = (
            f"on {section['when']}: {machine['processor']}, {machine['cores']} cores, {instructions} SHA instructions, "
            f"{machine['memory_gib']} GiB of memory, {machine['system']}, Linux {machine['kernel']}. {versions}."
        )
        alike.setdefault(said, []).append(f"{LABELS[name]} (load average before it: {machine['load_before']})")
    lines = [f"- {', '.join(names)}, {said}" for said, names in alike.items()]
    return "\n".join(["## What it was measured on", "", *lines])


def _table(head, lines, left=(0,)):
    """A Markdown table; columns are aligned to the right but for some."""
    rule = ["---" if column in left else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in [head, rule, *lines])


def _points(growth, kind):
    return [point for point in (growth or {"points": []})["points"] if point["kind"] == kind]


def _median(costs, what):
    return max(median(cost[what] for cost in costs), 0.01)


def _mb(*layers, what="raw"):
    return f"{sum(layer[what] for layer in layers) / 1e6:,.1f}"


def _entries(measured):
    return f"{sum(layer['entries'] for layer in measured['image']['layers']):,}"


def _times(section):
    return "one round" if section["rounds"] == 1 else f"{section['rounds']} rounds"


LABELS = {"a": "image (a)", "b": "image (b)", "growth": "growth"}

SERIES = {
    "size": "With size, in one layer",
    "layers": "With the number of layers, in one size",
    "entries": "With many entries, in two layers",
}

HEADINGS = {
    REMOVED: "the files are gone from every layer",
    HIDDEN: "a layer on top hides the files, they can still be downloaded",
    SAME: "nothing is removed: copies, and what decoding and hashing cost",
}
