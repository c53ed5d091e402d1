"""What immut's receipt says about a platform, as far as the page tells it."""


def summary(platform):
    """Numbers of removed entries and of layers by outcome, and the bytes copied and encoded or None."""
    rewritten = [layer for layer in platform["layers"] if layer["outcome"] == "rewritten"]
    known = [layer["encoding"] for layer in rewritten if "encoding" in layer]
    return {
        "removed": len(platform["removed"]),
        "outcomes": [layer["outcome"] for layer in platform["layers"]],
        "copied": sum(one["copied"] for one in known) if known else None,
        "encoded": sum(one["encoded"] for one in known) if known else None,
    }


def share(summed):
    """The share of bytes in rewritten layers that were copied, as text."""
    if summed["copied"] is None:
        return "not told by this version"
    total = summed["copied"] + summed["encoded"]
    return f"{100 * summed['copied'] / total:.1f} %" if total else "nothing was rewritten"
