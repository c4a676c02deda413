"""What `make test` leaves to `make test-all`: files, which it does not even import, and single tests of others."""

from pathlib import Path

import pytest

__all__ = [
    "REAL_FILES",
    "SLOW_FILES",
    "SLOW_TESTS",
    "pytest_collection_modifyitems",
    "pytest_ignore_collect",
    "pytest_itemcollected",
]

_TESTS = Path(__file__).parents[1]

# Processes of their own, clusters, kills, browsers, pictures, whole trainings and every example of the documentation,
# longest first: begun first, they leave small files to fill the end.
SLOW_FILES = (
    "end_to_end/test_examples.py",
    "end_to_end/test_processes.py",
    "surgery/cutting/test_towers.py",
    "probe/scale/test_engine.py",
    "end_to_end/test_ray_kill.py",
    "end_to_end/test_own_row_forms.py",
    "probe/report/test_browser.py",
    "end_to_end/test_own_row.py",
    "end_to_end/test_fresh_process.py",
    "encoder_surgery/adaptors_commands/test_tune_towers.py",
    "end_to_end/test_kill.py",
    "end_to_end/test_kill_save.py",
    "surgery/vocabulary/test_trim.py",
    "adaptors/finetuning/test_resume.py",
    "adaptors/finetuning/test_tuned_towers.py",
    "adaptors/slimming/test_slim.py",
    "encoder_surgery/surgery_commands/test_towers.py",
    "probe/plots/test_plots.py",
    "probe/experiments/test_gate.py",
    "encoder_surgery/probe_commands/test_gate_rates.py",
    "probe/encoding/test_paired.py",
    "surgery/pairing/test_pair.py",
    "encoder_surgery/adaptors_commands/test_fit.py",
    "encoder_surgery/adaptors_commands/test_map.py",
    "adaptors/healing/test_heal_objects.py",
    "encoder_surgery/shell/test_engine.py",
    "adaptors/finetuning/test_tune.py",
    "encoder_surgery/surgery_commands/test_fuse.py",
    "encoder_surgery/adaptors_commands/test_tune.py",
    "adaptors/training/test_similarity_map.py",
    "encoder_surgery/surgery_commands/test_pair.py",
    "encoder_surgery/surgery_commands/test_trim.py",
    "adaptors/finetuning/test_saved.py",
    "adaptors/finetuning/test_two_towers.py",
    "adaptors/healing/test_heal.py",
    "adaptors/healing/test_kept.py",
    "adaptors/healing/test_raw_cut.py",
    "probe/plots/test_matrix.py",
    "encoder_surgery/test_several_fits.py",
    "encoder_surgery/test_weights_dtype.py",
    "encoder_surgery/shell/test_process.py",
    "encoder_surgery/shell/test_completion.py",
    "end_to_end/test_docs.py",
    "end_to_end/test_notebook.py",
    "end_to_end/test_runtimes.py",
    "end_to_end/test_mteb.py",
    "end_to_end/test_late_interaction.py",
    "end_to_end/test_pictures.py",
    "end_to_end/test_serving.py",
)
# Fresh processes and whole commands in files whose other tests are quick: function names by file.
SLOW_TESTS = {
    "adaptors/quantizing/test_stored_rows.py": ("test_the_commands_have_the_sizes",),
    "adaptors/static/test_save.py": ("test_it_opens_in_a_fresh_process_with_equal_vectors",),
    "encoder_surgery/shell/test_similarity_option.py": ("test_a_card_says_what_its_scores_were_compared_by",),
    "encoder_surgery/surgery_commands/test_commands.py": (
        "test_cut_saves_checks_in_a_fresh_process_and_prints_the_folder",
        "test_other_vectors_in_the_fresh_process_leave_nothing_behind",
    ),
    "surgery/saving/test_cards.py": ("test_the_lines_of_a_card_run_in_its_folder",),
}
# A real model on a real data set.
REAL_FILES = ("end_to_end/test_real.py", "end_to_end/test_real_adaptors.py")


def _name(path: Path) -> str:
    return path.relative_to(_TESTS).as_posix() if path.is_relative_to(_TESTS) else ""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a file that the marks asked for leave out, because importing all of them takes half a minute."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    name, asked = _name(collection_path), config.option.markexpr or "True"
    is_real = name in REAL_FILES
    slow = {name in SLOW_FILES} | ({True} if name in SLOW_TESTS else set())
    kinds = [{"slow": one, "real": is_real, "long": long} for one in slow for long in (False, True)]
    return None if any(eval(asked, {}, kind) for kind in kinds) else True


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the slow tests."""
    name = _name(item.path)
    if name in SLOW_FILES or getattr(item, "originalname", item.name) in SLOW_TESTS.get(name, ()):
        item.add_marker("slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow files first, in whatever order the tests came; the tests of a file stay as they are."""
    order = {name: number for number, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: order.get(_name(item.path), len(SLOW_FILES)))
