"""What docs/performance.md says besides its figures."""

INTRODUCTION = """
<!-- Written by scripts/bench from what it measured. Change the script, not this page. -->

# Performance

What immut costs, next to the other ways to take files out of an image in a registry, next to a plain copy, and next to
what decompressing and hashing the layers costs by itself.

![CPU time against the unpacked size of an image](performance.svg)

Lines are images that are cut to size, see [Growth](#growth); large circles are the images (a) and (b). Both axes are
logarithmic.
"""

READING = """
## How to read it

- **CPU s** is user and system time of every process of a row, but the registries'. **wall s** is on this machine,
  where the registries run beside the row. **peak MiB** is the largest resident set that one process had. Of a row with
  several commands the times are added up, and the largest peak counts.
- A row reads the image by digest from one registry and pushes to a second, empty one, over plain HTTP on the same
  machine. So no row can skip or mount a blob. In *source and result in one registry* immut mounts the layers which it
  does not change, as it does for anybody who hardens an image into another repository of the same registry.
- Every run is cold: a new stage or storage, an empty cache of known blobs, an empty destination. The files of the
  source registry are in the system's memory, for all rows.
- In a round each row runs once, then comes the next round: what else the machine does meets all rows alike.
- immut decides itself what to remove. The other rows are given its list, remove exactly that, and set the same user.
- The first result of each row was checked: `crane export | tar t` shows no removed file and every other one, `tar t`
  finds the removed files in no layer (but for umoci, see below), and the image starts with podman, read-only, without
  capabilities, as the new user. nginx answered over HTTP, Python printed a sum that numpy made. All of immut's results
  of an image, signed, mounted or not, had one digest in all rounds.
"""

COPIED = """
## How much is copied

In the layers that immut rewrites, the share of unpacked bytes whose compressed form it takes over; the rest is
compressed again. Layers that are not rewritten are taken over as a whole and do not count here.
"""

MEMORY = """
## Peak memory

In MiB, of the largest process. immut is to need at most 64, whatever the bytes, for 50,000 entries of which many go.
"""

GROWTH = """
## Growth

Images that are cut from the files of (b), with the same mix of contents in every size and something to remove in every
layer. *removed* counts entries, *copied* is as above.
"""

CAVEATS = """
## What the rows do not say

- **The rows do not do the same.** immut reads every layer to find what to remove, proves from the image that the start
  does not need it, takes setuid bits away, gives the new user an account, writes a receipt, and audits its result before
  it publishes it. The others do none of that; what it costs to find out what to remove is not in their figures.
- **umoci does not remove anything.** `umoci repack` puts a layer with deletions on top. The layers below still hold
  @LEFT@.
- **buildah and crane make one layer of all.** No layer is shared with other images any more, and a node that has the
  old image downloads everything anew. immut keeps the layers.
- **crane compresses at Go's fastest level**, so its result is larger, and it starts from an empty config: user,
  entrypoint, arguments and environment are set by hand, the rest is lost.
- **GNU tar 1.34 loses files** when it deletes in place in a large archive; of (b) seven were seen to go that were to
  stay. The row of crane uses tar in a pipe, where that did not happen.
- **A signature** is most of all the price of the key's password, which is slow to try on purpose.
- **The first floor is not the lowest possible.** `gzip` is not the fastest decoder there is, and Debian's `sha256sum`
  does not use the processor's instructions for it, so a better program can be faster. libdeflate and openssl are about
  the fastest there are, but libdeflate holds a whole layer in memory.
- **A plain copy decompresses nothing**, so it can cost less than either floor. Whoever removes files from a layer, or
  checks its diff_id, has to decompress it.
- No row pays for TLS or for a network.
"""

REPEAT = """
## Measure it yourself

On Debian, as root (buildah mounts images, umoci unpacks them):

```sh
cargo build --release --locked
scripts/bench
```

`scripts/bench --help` tells the rest: more rounds, single parts, a quick run with small images, the page alone. The
images are made of the Debian packages and wheels of the day, so sizes will differ a little.
"""
