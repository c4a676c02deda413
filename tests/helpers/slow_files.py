"""Slow files are begun first, so that all processes of a test run end together."""

from pathlib import Path

import pytest

__all__ = ["SLOW_FILES", "pytest_collection_modifyitems"]

_TESTS = Path(__file__).parents[1]

# The files that take longest, longest first: begun first, they leave small ones to fill the end of every process.
# Between those that start processes of their own is one that does not, so that they do not meet.
SLOW_FILES = (
    "end_to_end/test_examples.py",
    "end_to_end/test_processes.py",
    "end_to_end/test_ray_kill.py",
    "encoder_surgery/adaptors_commands/test_fit.py",
    "probe/scale/test_engine.py",
    "probe/report/test_browser.py",
    "adaptors/encoders/test_folder.py",
    "encoder_surgery/surgery_commands/test_commands.py",
    "probe/plots/test_plots.py",
    "adaptors/healing/test_heal.py",
    "adaptors/finetuning/test_resume.py",
    "encoder_surgery/adaptors_commands/test_tune.py",
    "surgery/cutting/test_cut.py",
    "end_to_end/test_kill.py",
    "end_to_end/test_kill_save.py",
    "end_to_end/test_fresh_process.py",
    "adaptors/finetuning/test_saved.py",
    "encoder_surgery/shell/test_engine.py",
    "encoder_surgery/surgery_commands/test_fuse.py",
    "adaptors/healing/test_log.py",
    "probe/evaluation/test_asymmetric.py",
    "adaptors/healing/test_start.py",
    "adaptors/fitting/test_distil.py",
    "adaptors/finetuning/test_tune.py",
    "end_to_end/test_docs.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow files first, in whatever order the tests came; the tests of a file stay as they are."""
    order = {name: number for number, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: order.get(item.path.relative_to(_TESTS).as_posix(), len(SLOW_FILES)))
