"""docs/performance.svg: CPU time against unpacked size, on two logarithmic axes."""

import math
from html import escape
from statistics import median

# What is drawn: its label, and whether it stands out. The order is that in which they are painted.
LINES = {
    "immut": "immut",
    "recompress": "immut --recompress",
    "floor": "gzip -dc | sha256sum",
    "fast-floor": "libdeflate | openssl",
}
POINTS = {
    "buildah": "buildah --squash",
    "crane": "crane and tar",
    "umoci": "umoci (leaves the bytes)",
    "skopeo": "skopeo copy (only copies)",
}


def svg(sections):
    """The plot of what was measured, or None if there is nothing to draw."""
    drawn = [(name, label, "line", _grown(sections, name)) for name, label in LINES.items()]
    drawn += [(name, label, "point", _imaged(sections, name)) for name, label in POINTS.items()]
    drawn = [each for each in drawn if each[3]]
    if not drawn:
        return None
    everything = [point for *_, points in drawn for point in [*points, *_imaged(sections, "immut")]]
    across = Axis([x for x, _ in everything], LEFT, WIDTH - RIGHT)
    up = Axis([y for _, y in everything], HEIGHT - BOTTOM, TOP)
    parts = [*_grid(across, up)]
    for name, _, shape, points in drawn:
        placed = [(across.at(x), up.at(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="{name} {shape}" points="{path}"/>')
        parts += [
            f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{3 if shape == "line" else 5}"/>' for x, y in placed
        ]
    parts += _images(sections, across, up)
    ends = sorted((up.at(points[-1][1]), across.at(points[-1][0]), name, label) for name, label, _, points in drawn)
    for (y, x, name, label), lower in zip(ends, _apart([end[0] for end in ends]), strict=True):
        parts.append(f'<path class="leader" d="M{x + 7:.1f},{y:.1f} L{WIDTH - RIGHT + 18},{lower:.1f}"/>')
        parts.append(f'<text class="{name}" x="{WIDTH - RIGHT + 22}" y="{lower + 4:.1f}">{escape(label)}</text>')
    body = "\n".join(parts)
    paper = f'width="{WIDTH}" height="{HEIGHT}"'
    style = STYLE + _coloured(0) + "@media (prefers-color-scheme: dark) {" + DARK + _coloured(1) + "}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {paper} role="img">\n'
        f"<title>CPU time against the unpacked size of an image</title>\n<style>{style}</style>\n"
        f'<rect class="paper" {paper}/>\n{body}\n</svg>\n'
    )


class Axis:
    """A logarithmic axis from one place on the paper to another."""

    def __init__(self, values, start, end):
        self.low, self.high = math.log(min(values) / 1.15), math.log(max(values) * 1.15)
        self.start, self.end = start, end

    def at(self, value):
        """Where a value is."""
        return self.start + (math.log(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        """The values 1, 2 and 5 of every power of ten that lie on the axis."""
        steps = (digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5))
        return [step for step in steps if self.low <= math.log(step) <= self.high]


def _grown(sections, name):
    """Size in MB and CPU seconds of the images that were cut for it."""
    points = [point for point in sections.get("growth", {}).get("points", []) if point["kind"] == "size"]
    return sorted((_megabytes(point), _cpu(point, name)) for point in points if name in point["rows"])


def _imaged(sections, name):
    """The same of the images (a) and (b)."""
    found = [sections[image] for image in ("a", "b") if name in sections.get(image, {}).get("rows", {})]
    return sorted((_megabytes(section), _cpu(section, name)) for section in found)


def _images(sections, across, up):
    """Where images (a) and (b) are, and immut's circles there."""
    for name in ("a", "b"):
        if name in sections:
            size, cpu = _megabytes(sections[name]), _cpu(sections[name], "immut")
            yield f'<circle class="immut" cx="{across.at(size):.1f}" cy="{up.at(cpu):.1f}" r="5"/>'
            yield f'<text class="tick" x="{across.at(size):.1f}" y="{TOP - 8}" text-anchor="middle">({name})</text>'


def _megabytes(measured):
    return sum(layer["raw"] for layer in measured["image"]["layers"]) / 1e6


def _cpu(measured, name):
    return max(median(cost[0] for cost in measured["rows"][name]), 0.01)


def _grid(across, up):
    for tick in across.ticks():
        x = across.at(tick)
        yield f'<path class="grid" d="M{x:.1f},{TOP} V{HEIGHT - BOTTOM}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>'
    for tick in up.ticks():
        y = up.at(tick)
        yield f'<path class="grid" d="M{LEFT},{y:.1f} H{WIDTH - RIGHT}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">unpacked size of all layers, MB</text>'
    across_page = f"translate(18 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"
    yield f'<text transform="{across_page}" text-anchor="middle">CPU time, user and system, seconds</text>'


def _coloured(paper):
    """The rules that give every line its colour, on white paper (0) or black (1)."""
    rules = "circle.{0}, text.{0} {{ fill: {1} }} polyline.{0} {{ stroke: {1} }}\n"
    return "".join(rules.format(name, colours[paper]) for name, colours in COLOURS.items())


def _apart(heights, least=18):
    """Heights for labels that keep their order and do not touch."""
    placed = list(heights)
    for _ in range(200):
        for one in range(len(placed) - 1):
            overlap = least - (placed[one + 1] - placed[one])
            if overlap > 0:
                placed[one] -= overlap / 2
                placed[one + 1] += overlap / 2
    return placed


WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 70, 210, 30, 56

# For each line its colour on white paper and on black.
COLOURS = {
    "immut": ("#0b6bcb", "#58a6ff"),
    "recompress": ("#7a4fd0", "#b392f0"),
    "floor": ("#59636e", "#adb5bd"),
    "fast-floor": ("#7d8590", "#8b949e"),
    "buildah": ("#c4320a", "#ff7b54"),
    "crane": ("#9a6700", "#e3b341"),
    "umoci": ("#bf2c7c", "#f778ba"),
    "skopeo": ("#1a7f37", "#56d364"),
}

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.paper { fill: #ffffff } .tick { font-size: 12px; fill: #59636e } .grid { stroke: #d1d9e0; fill: none }
.leader { stroke: #9aa4ae; fill: none } polyline { fill: none; stroke-width: 2 }
.point { stroke-dasharray: 3 5 } .fast-floor.line { stroke-dasharray: 7 4 }
polyline.immut { stroke-width: 3.5 } text.immut { font-weight: 700 }
"""
DARK = """
text { fill: #e6edf3 } .paper { fill: #0d1117 } .tick { fill: #9198a1 }
.grid { stroke: #2d333b } .leader { stroke: #59636e }
"""
