"""The Pareto front: what nothing else beats at its cost."""

from collections.abc import Sequence

__all__ = ["pareto_front"]


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return which points are not dominated.

    A point is dominated where another costs no more and scores no less, and differs in one of the two. Points that are
    equal in both do not dominate each other: all of them are on the front, or none.

    Args:
        points: Cost and score of each.

    Returns:
        Their places, the cheapest first; of equal ones in the order given.
    """
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        best = points[front[-1]] if front else None
        if best is None or points[place][1] > best[1] or points[place] == best:
            front.append(place)
    return tuple(front)
