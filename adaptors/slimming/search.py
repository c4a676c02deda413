"""The search: short trainings of all candidates, longer ones of the better half, a full one of the best."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from adaptors.candidates.candidate import Candidate
from adaptors.candidates.dimensions import Basis
from adaptors.candidates.judging import Judge, as_encoder
from adaptors.candidates.student import Lesson, Trained, begin, save_start, train
from adaptors.candidates.vocabulary import Vocabulary
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.slimming.choice import Forecast, forecast, pick
from adaptors.slimming.goal import SlimGoal
from adaptors.slimming.labels import LabelledMap
from adaptors.slimming.listing import afford
from adaptors.slimming.work import WorkFolder
from probe.encoding.protocols import Encoder
from probe.metrics.significance import Scores

__all__ = ["Attempt", "Search", "TimeLimit"]

# Candidates per round, and the share of the time left that a round takes; the last round takes all of it.
_ROUNDS = ((None, 0.25), (2, 0.2), (1, 1.0))
_FEWEST_SECONDS = 3.0
# Share of a candidate's first round in which starts are tried.
_START_SHARE = 0.4
_RECORD = "{}/round-{}.json"
_AFFORDABLE = "affordable.json"


@dataclass(frozen=True)
class TimeLimit:
    """The time of a search, over all of its interruptions.

    Attributes:
        seconds: The limit.
        earlier: Seconds spent before an interruption.
        clock: Returns the current time in seconds.
        began: Time of the start.
    """

    seconds: float
    earlier: float
    clock: Callable[[], float]
    began: float

    @classmethod
    def start(cls, minutes: float, earlier: float, clock: Callable[[], float] = time.monotonic) -> "TimeLimit":
        """Start the clock."""
        return cls(60 * minutes, earlier, clock, clock())

    def left(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self.seconds - self.earlier - (self.clock() - self.began))


@dataclass(frozen=True, eq=False)
class Attempt:
    """A candidate as far as it was trained.

    Attributes:
        candidate: The candidate.
        folder: Its files.
        scores: Its scores on the judging queries `(Q,)`.
        parts: Its trainings, one after another; none for a static model.
    """

    candidate: Candidate
    folder: Path
    scores: Scores
    parts: tuple[Trained, ...]

    @property
    def seconds(self) -> float:
        """Time of its training."""
        return sum(part.seconds for part in self.parts)

    @property
    def steps(self) -> int:
        """Number of its training steps."""
        return sum(part.steps for part in self.parts)


@dataclass(frozen=True)
class Search:
    """Tries candidates and trains the best one.

    Attributes:
        lesson: What the trainings share.
        judge: Scores candidates.
        vocabulary: Makes the full model with fewer tokens.
        work: Finished steps.
        goal: The goal.
        queries: Number of test queries.
        basis: Linear map on top of every candidate, if any.
        make_static: Fits a static model with a number of tokens, None for all, and writes it to a folder.
        labelled: The outcome of a training of that map on relevance labels, if there was one.
        left_out: Candidates that are not tried for lack of time.
    """

    lesson: Lesson
    judge: Judge
    vocabulary: Vocabulary
    work: WorkFolder
    goal: SlimGoal
    queries: int
    basis: Basis | None
    make_static: Callable[[int | None, Path], Encoder]
    labelled: LabelledMap | None = None
    left_out: tuple[Candidate, ...] = ()

    def choose_affordable(
        self, candidates: Sequence[Candidate], limit: TimeLimit, time_text: Callable[[], float]
    ) -> tuple[Candidate, ...]:
        """Return the candidates for whose first trainings there is time; the choice is recorded.

        Args:
            candidates: The candidates, the cheapest first.
            limit: The time of all rounds.
            time_text: Returns the seconds that the full model needs per text.
        """
        known = self.work.read(_AFFORDABLE)
        if known is None:
            chosen = afford(candidates, _ROUNDS[0][1] * limit.left(), per_text=time_text())
            known = {"candidates": [one.key for one in chosen]}
            self.work.write(_AFFORDABLE, known)
        return tuple(one for one in candidates if one.key in known["candidates"])

    def run(self, candidates: Sequence[Candidate], limit: TimeLimit) -> tuple[Attempt, tuple[Attempt, ...]]:
        """Return the best candidate after its full training, and all candidates as far as they were trained.

        Args:
            candidates: The candidates, the cheapest first.
            limit: The time of all rounds.
        """
        found: dict[Candidate, Attempt] = {}
        going = list(candidates)
        for number, (count, share) in enumerate(_ROUNDS, start=1):
            if count is not None:
                going = self._pick(number, [found[one] for one in going], count=count, limit=limit)
            # A static model is fitted once.
            unfinished = [one for one in going if one.blocks or one not in found]
            trained = [one for one in unfinished if one.blocks]
            seconds = limit.left() * (1.0 if len(going) == 1 else share) / max(1, len(trained))
            for one in unfinished:
                found[one] = self._attempt(one, number, before=found.get(one), seconds=seconds)
            if len(going) == 1:
                break
        return found[going[0]], tuple(found.values())

    def forecast(self, attempt: Attempt, more: float) -> Forecast:
        """Forecast the result of a candidate after more seconds of training."""
        further = more if attempt.candidate.blocks else 0.0
        return forecast(
            attempt.scores, self.judge.reference, trained=attempt.seconds, more=further, queries=self.queries
        )

    def _pick(self, number: int, attempts: Sequence[Attempt], *, count: int, limit: TimeLimit) -> list[Candidate]:
        """Return the candidates of a round; the choice is recorded, because it depends on the time that was left."""
        record = f"round-{number}.json"
        known = self.work.read(record)
        if known is None:
            known = {"candidates": [attempts[index].candidate.key for index in self._choose(attempts, count, limit)]}
            self.work.write(record, known)
        return [one.candidate for one in attempts if one.candidate.key in known["candidates"]]

    def _choose(self, attempts: Sequence[Attempt], count: int, limit: TimeLimit) -> list[int]:
        forecasts = [self.forecast(one, limit.left()) for one in attempts]
        margin = self.goal.margin(float(self.judge.reference.mean()))
        slacks = [-1.0 if margin is None else one.slack(margin) for one in forecasts]
        if slacks[0] >= 0 and not attempts[0].candidate.blocks:
            # Nothing is cheaper than a static model, and no training would change it.
            return [0]
        return pick(slacks, [one.difference for one in forecasts], count)

    def _attempt(self, candidate: Candidate, number: int, *, before: Attempt | None, seconds: float) -> Attempt:
        """Return a candidate after one more round, from its record if that is finished."""
        record = _RECORD.format(candidate.key, number)
        folder = self.work.path(record.removesuffix(".json"))
        known = self.work.read(record)
        if known is None:
            known = self._train(candidate, number, before=before, folder=folder, seconds=seconds)
            self.work.write(record, known)
        if before is not None and before.folder != folder:
            shutil.rmtree(before.folder, ignore_errors=True)
        parts = tuple(filter(None, [known["trained"] and Trained.read(known["trained"])]))
        earlier = before.parts if before else ()
        return Attempt(candidate, folder, np.array(known["scores"]), (*earlier, *parts))

    def _train(
        self, candidate: Candidate, number: int, *, before: Attempt | None, folder: Path, seconds: float
    ) -> dict[str, Any]:
        began = time.monotonic()
        self.work.empty(str(folder.relative_to(self.work.folder)))
        if not candidate.blocks:
            encoder = self.make_static(candidate.tokens, folder)
            scores = self.judge.score(encoder)
            return {"trained": None, "scores": scores.tolist(), "seconds": time.monotonic() - began}
        lesson = self._named(candidate)
        checkpoints = folder.with_name(f"{folder.name}-checkpoints")
        student = self._open(
            candidate, lesson, before=before, has_time=lambda: time.monotonic() - began < _START_SHARE * seconds
        )
        minutes = self._allot(candidate, number, max(_FEWEST_SECONDS, seconds - (time.monotonic() - began)) / 60)
        trained = train(
            student, lesson, part=number - 1, minutes=minutes, checkpoints=checkpoints, out=folder, title=str(candidate)
        )
        encoder = as_encoder(student.model, lesson.full)
        scores = self.judge.score(encoder if self.basis is None else self.basis.project(encoder))
        for done in (checkpoints, folder.with_name("start")):
            shutil.rmtree(done, ignore_errors=True)
        return {"trained": trained.to_json(), "scores": scores.tolist(), "seconds": time.monotonic() - began}

    def _open(
        self, candidate: Candidate, lesson: Lesson, *, before: Attempt | None, has_time: Callable[[], bool]
    ) -> TrainableEncoder:
        if before is not None:
            return open_trainable(before.folder)
        # Which start is found depends on the time; a resumed training needs the same one.
        start = self.work.path(f"{candidate.key}/start")
        if not start.is_dir():
            source = None if candidate.tokens is None else self.vocabulary.trim(candidate.tokens)
            save_start(begin(candidate, lesson, source, has_time=has_time), lesson, start)
        return open_trainable(start)

    def _allot(self, candidate: Candidate, number: int, minutes: float) -> float:
        """Return the time of a training, which has to be the same when it is resumed."""
        name = f"{candidate.key}/round-{number}-time.json"
        known = self.work.read(name)
        if known is None:
            known = {"minutes": minutes}
            self.work.path(candidate.key).mkdir(parents=True, exist_ok=True)
            self.work.write(name, known)
        return float(known["minutes"])

    def _named(self, candidate: Candidate) -> Lesson:
        """Return the shared part with the candidate's name in every step of the progress."""

        def report(step: str, done: int, total: int) -> None:
            """Say whose step it is."""
            name, colon, words = step.partition(": ")
            self.lesson.progress(f"{name} ({candidate}){colon}{words}", done, total)

        return replace(self.lesson, progress=report)
