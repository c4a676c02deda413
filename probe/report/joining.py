"""Leaderboards of single data sets, joined where their settings agree, and why the others are not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from probe.experiments.matrix import join_leaderboards, shared_rows
from probe.experiments.provenance import differing_settings
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import DatasetMatrix
from probe.sources.several import tell_apart

__all__ = ["Joining", "Named", "join_results"]


@dataclass(frozen=True)
class Named:
    """A leaderboard.

    Attributes:
        source: The name of its file.
        board: The leaderboard.
    """

    source: str
    board: Leaderboard

    @property
    def data(self) -> tuple[str, str]:
        """What tells its data set from others."""
        data = self.board.settings["dataset"]
        return str(data["text_sha256"]), str(data["qrels_sha256"])


@dataclass(frozen=True)
class Joining:
    """What became of several leaderboards.

    Attributes:
        groups: Those that were joined.
        matrices: The matrix of each group.
        reasons: Why others were not, as sentences.
    """

    groups: tuple[tuple[Named, ...], ...]
    matrices: tuple[DatasetMatrix, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Refusal:
    """Why a leaderboard cannot join others.

    Attributes:
        reason: A sentence.
        is_same_data: Whether it is that one of them is on the same data set.
    """

    reason: str
    is_same_data: bool = False


def join_results(results: Sequence[Named]) -> Joining:
    """Join leaderboards of different data sets whose settings agree and that have encoders in common.

    A leaderboard joins those with which it has most encoders in common. Those on one data set are never joined.
    """
    groups: list[list[Named]] = []
    for one in results:
        fitting = [group for group in groups if _refuse(one, group) is None]
        if fitting:
            max(fitting, key=lambda group: _count_shared([*group, one])).append(one)
        else:
            groups.append([one])
    groups.sort(key=len, reverse=True)
    first, *others = groups or [[]]
    refusals = [_refuse(group[0], first) for group in others]
    # Two runs on one data set need no explanation where nothing is joined.
    said = [one for one in refusals if one is not None and (len(first) > 1 or not one.is_same_data)]
    joined = [tuple(group) for group in groups if len(group) > 1]
    return Joining(tuple(joined), tuple(_join(group) for group in joined), tuple(one.reason for one in said))


def _refuse(one: Named, group: Sequence[Named]) -> _Refusal | None:
    """Return why a leaderboard cannot join a group; None if it can."""
    for other in group:
        if other.data == one.data:
            name = one.board.settings["dataset"]["name"]
            return _Refusal(
                f"{one.source} is on the same data set as {other.source} ({name}): results on one data set are not "
                "joined.",
                is_same_data=True,
            )
    differing = differing_settings({found.source: found.board.settings for found in (group[0], one)})
    if differing:
        return _Refusal(f"{one.source} is not joined with {group[0].source}: they differ in {'; '.join(differing)}.")
    fewest = min(len(found.board.rows) for found in (*group, one))
    if _count_shared([*group, one]) < min(2, fewest):
        sources = ", ".join(found.source for found in group)
        return _Refusal(f"{one.source} is not joined with {sources}: they have no two encoders in common.")
    return None


def _count_shared(group: Sequence[Named]) -> int:
    return len(shared_rows([one.board for one in group]))


def _join(group: Sequence[Named]) -> DatasetMatrix:
    """Return the matrix of a group, made by this command."""
    boards = {name: one.board for name, one in zip(_names(group), group, strict=True)}
    command = f"probe report {' '.join(one.source for one in group)}"
    return replace(join_leaderboards(boards), command=command, created=max(one.board.created for one in group))


def _names(group: Sequence[Named]) -> list[str]:
    """Return a name per data set: its own, with its split or its file where several have that name."""
    data = [one.board.settings["dataset"] for one in group]
    plain = [str(found["name"]) for found in data]
    forms = [
        plain,
        [f"{found['name']}:{found['split']}" for found in data],
        [f"{found['name']} ({one.source})" for found, one in zip(data, group, strict=True)],
    ]
    return tell_apart(forms, taken=DatasetMatrix.column_names)
