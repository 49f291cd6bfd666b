"""Less of the same, so that a page stays small: fewer points of a curve, the beginning of long texts."""

from __future__ import annotations

from collections.abc import Sequence

from neuropt_core.sinks.text import plain

Pair = tuple[float, float]


def thinned(points: Sequence[Pair], most: int) -> list[Pair]:
    """Returns at most `most` of the points, those that keep the shape of the line; the first and the last among them.

    Source: largest triangle three buckets (Steinarsson 2013, "Downsampling time series for visual representation",
    section 4.2): of each bucket the point that spans the largest triangle with the one chosen before it and the mean
    of the next bucket.

    Args:
        points: Finite (x, y) pairs in the order of x.
        most: At least 3.
    """
    if len(points) <= most:
        return list(points)
    width = (len(points) - 2) / (most - 2)
    edges = [1 + int(place * width) for place in range(most - 2)] + [len(points) - 1]
    chosen = [points[0]]
    for place in range(most - 2):
        following = points[edges[place + 1] : edges[place + 2]] if place + 2 < len(edges) else points[-1:]
        mean = (sum(x for x, _ in following) / len(following), sum(y for _, y in following) / len(following))
        before = chosen[-1]
        chosen.append(max(points[edges[place] : edges[place + 1]], key=lambda p: _area(before, p, mean)))
    return [*chosen, points[-1]]


def share(lengths: Sequence[int], room: int, least: int) -> int:
    """Returns the length to which all texts can be cut such that they have room together.

    Short texts leave their room to long ones.

    Args:
        lengths: Of the texts, in bytes.
        room: For all of them, in bytes.
        least: What each may keep in any case.
    """
    left, rest = room, sorted(lengths)
    for place, length in enumerate(rest):
        each = left // (len(rest) - place)
        if length > each:
            return max(least, each)
        left -= length
    return max(least, rest[-1] if rest else 0)


def shortened(text: str, most: int, where: str) -> str:
    """Returns `plain` text, cut at a word beyond `most` bytes, with a word on where the whole of it is."""
    text = plain(text).strip()
    if len(text.encode()) <= most:
        return text
    cut = text.encode()[:most].decode(errors="ignore")
    cut = (cut.rsplit(" ", 1)[0] if " " in cut[len(cut) // 2 :] else cut).rstrip()
    return f"{cut} … [{len(text) - len(cut)} more characters in {where}]"


def _area(a: Pair, b: Pair, c: Pair) -> float:
    # Twice the area of the triangle; only compared.
    return abs((a[0] - c[0]) * (b[1] - a[1]) - (a[0] - b[0]) * (c[1] - a[1]))
