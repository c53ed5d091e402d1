"""Images of growing size, of a growing number of layers, and of many entries.

All are cut from the files of one real image: of the files in an order that says nothing about them,
so many from the front as give the size. So every size has the same mix of contents. What packages are
known by is always there, since immut tells by it what belongs to a package manager.
"""

import os
import stat
import zlib
from dataclasses import dataclass

from .measure import run
from .registry import discard

MIB = 1 << 20
APPLICATION = "usr/bin/python3.11"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
# In every image: what starts with its loader and its libraries, something to remove, and by what packages are known.
ALWAYS = (
    APPLICATION,
    *(f"{LIBRARIES}/{name}" for name in ("ld-linux-x86-64.so.", "libc.so.", "libexpat.so.", "libm.so.", "libz.so.")),
    "usr/bin/dash",
    "var/lib/dpkg/status",
    "var/lib/dpkg/info/",
)
# Links by which the loader and the libraries are found.
LINKS = ["lib", "lib64", "usr/lib64/ld-linux-x86-64.so.2", f"{LIBRARIES}/libexpat.so.1", f"{LIBRARIES}/libz.so.1"]


@dataclass(frozen=True)
class Piece:
    """A file of the pool."""

    name: str
    bytes: int
    goes: bool


class Series:
    """Cuts images from the image whose files lie in the pool."""

    def __init__(self, kitchen, image, source, gone):
        self.kitchen = kitchen
        self.pool = kitchen.work / "pool" / image.digest.removeprefix("sha256:")[:12]
        self.origin = image.digest
        if not self.pool.exists():
            _unpack(source, self.pool)
        self.pieces = _shuffled(self.pool, {name.lstrip("/") for name in gone})

    def sized(self, mebibytes, layers=1):
        """An image of about this size, whose layers have the same size and each something to remove."""
        pieces = self._first(mebibytes * MIB)
        going = sorted(piece.name for piece in pieces if piece.goes)
        staying = sorted((piece for piece in pieces if not piece.goes), key=lambda piece: piece.name)
        cuts = [sorted(part + going[number::layers]) for number, part in enumerate(_cut(staying, layers))]
        return self._image(
            f"mib-{mebibytes}-layers-{layers}",
            f"{mebibytes} MiB in {_layers(layers)}",
            [[(cut, None)] for cut in cuts],
        )

    def many(self, entries):
        """An image with so many entries in two layers: small files, in copies of the tree, also one over the other."""
        small = sorted(self.pieces, key=lambda piece: (_place(piece), piece.bytes))
        names = _up_to([piece.name for piece in small], entries // 4)
        copies = [[(names, None), (names, f"copy-{layer}")] for layer in range(2)]
        return self._image(f"entries-{entries}", f"{entries:,} entries in {_layers(2)}", copies)

    def _first(self, wanted):
        """Files from the front up to so many bytes, and those that are always there."""
        chosen, total = [], 0
        for piece in sorted(self.pieces, key=_place):
            if total + piece.bytes <= wanted:
                chosen.append(piece)
                total += piece.bytes
        return chosen

    def _image(self, name, title, layers):
        """A layer is a list of parts; a part is names, and the folder that they get in the image or None."""
        (names, folder), *more = layers[0]
        layers = [[(sorted(names + LINKS), folder), *more], *layers[1:]]

        def push(reference):
            build = self.kitchen.work / "build"
            discard(build)
            build.mkdir(parents=True)
            layout = f"{build}/layout"
            run(["umoci", "init", "--layout", layout])
            run(["umoci", "new", "--image", f"{layout}:made"])
            for parts in layers:
                run(
                    [
                        "umoci",
                        "raw",
                        "add-layer",
                        "--image",
                        f"{layout}:made",
                        self._tar(build / "layer.tar", parts),
                    ]
                )
            run(["umoci", "config", "--image", f"{layout}:made", "--config.entrypoint", f"/{APPLICATION}"])
            run(
                [
                    "skopeo",
                    "copy",
                    "--quiet",
                    "--dest-tls-verify=false",
                    f"oci:{layout}:made",
                    f"docker://{reference}",
                ]
            )
            discard(build)

        return self.kitchen.keep(name, title, f"{self.origin} {layers}", push)

    def _tar(self, archive, parts):
        archive.unlink(missing_ok=True)
        listed = archive.with_suffix(".list")
        for names, folder in parts:
            listed.write_bytes(b"".join(os.fsencode(name) + b"\0" for name in _with_parents(names)))
            move = ["--transform", f"s,^,{folder}/,rSh"] if folder else []
            run(
                [
                    "tar",
                    "--append",
                    "--file",
                    archive,
                    "--directory",
                    self.pool,
                    "--no-recursion",
                    "--numeric-owner",
                ]
                + [*move, "--null", "--verbatim-files-from", "--files-from", listed]
            )
        return archive


def _layers(number):
    return "one layer" if number == 1 else f"{number} layers"


def _unpack(source, pool):
    part = pool.with_suffix(".part")
    discard(part)
    part.mkdir(parents=True)
    run(["bash", "-c", 'set -o pipefail; crane export "$1" - | tar x -C "$2"', "unpack", source, part])
    part.rename(pool)


def _shuffled(pool, gone):
    """Every regular file of the pool, in an order by a checksum of its name."""
    pieces = []
    for folder, _, names in os.walk(os.fsencode(pool)):
        for name in names:
            path = os.path.join(folder, name)
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode):
                relative = os.fsdecode(os.path.relpath(path, os.fsencode(pool)))
                rounded = 512 + -(-found.st_size // 512) * 512
                pieces.append(Piece(relative, rounded, relative in gone))
    return sorted(pieces, key=lambda piece: zlib.crc32(os.fsencode(piece.name)))


def _cut(pieces, parts):
    """Consecutive parts of about the same number of bytes, as names."""
    total = sum(piece.bytes for piece in pieces)
    cuts, seen = [[] for _ in range(parts)], 0
    for piece in pieces:
        cuts[min(parts - 1, seen * parts // max(total, 1))].append(piece.name)
        seen += piece.bytes
    return cuts


def _place(piece):
    """Where a file comes when files are chosen: first what is always there, in that order."""
    return next((place for place, name in enumerate(ALWAYS) if piece.name.startswith(name)), len(ALWAYS))


def _up_to(names, entries):
    """Names from the front that make so many entries, with the directories above them."""
    chosen, found = [], set()
    for name in names:
        if len(found) >= entries:
            break
        chosen.append(name)
        found.update(_with_parents([name]))
    return sorted(chosen)


def _with_parents(names):
    """The names with the directories above them, in the order of an archive."""
    found = set(names)
    for name in names:
        while "/" in name:
            name = name.rpartition("/")[0]
            found.add(name)
    return sorted(found)
