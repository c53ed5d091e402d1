"""The parts of scripts/bench.

tools     which programs are needed, and what machine this is
bench     the order of things: images, rows in rounds, checks
measure   CPU time, wall time and peak memory of a command
registry  registries of our own, each with a storage of its own
images    the images (a) and (b), made from Debian's packages and from wheels
series    images of growing size, growing number of layers, and many entries
rows      the ways to take files out of an image, and the floors
checks    that a result lacks the files, and starts
receipt   the figures that immut tells of itself
page      docs/performance.md, from the saved results
prose     what that page says besides its figures
plot      docs/performance.svg, from the same
"""
