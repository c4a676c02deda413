"""An experiment on several data sets, one after another."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from probe.data.dataset import Dataset
from probe.errors import ProbeError
from probe.results.result import Result

__all__ = ["run_datasets"]

Found = TypeVar("Found", bound=Result)


def run_datasets(
    datasets: Mapping[str, Dataset],
    run: Callable[[str, Dataset], Found],
    join: Callable[[Mapping[str, Found]], Found],
    *,
    failed: Mapping[str, str] | None = None,
) -> Found:
    """Run an experiment on data sets one after another, and join the results if there are several.

    Args:
        datasets: Data sets by their name in the table.
        run: Runs it on a data set, given its name too.
        join: Joins at least two results.
        failed: Why further data sets failed before, by name, to go on where one fails; None to raise at once.

    Raises:
        ProbeError: A data set fails, and all of them if `failed` is given.
    """
    results: dict[str, Found] = {}
    lost = dict(failed or {})
    last: ProbeError | None = None
    for name, dataset in datasets.items():
        try:
            results[name] = run(name, dataset)
        except ProbeError as error:
            lost[name], last = str(error), error
            if len(datasets) > 1:
                error.args = (f"{name}: {error}",)
            if failed is None:
                raise
    if last is not None and not results:
        raise last
    result = join(results) if len(results) > 1 else next(iter(results.values()))
    if not lost:
        return result
    before = result.settings.get("left_out", [])
    left_out = [f"{name} failed and is left out: {reason}" for name, reason in lost.items()]
    return replace(result, settings={**result.settings, "failed": lost, "left_out": [*left_out, *before]})
