"""The section of a model card on the search that made the model."""

from adaptors.slimming.search import Attempt
from probe.results.slim import SlimResult

__all__ = ["card_section"]

_SECTION = """## Search for a smaller model

{training} {limits}

{table}
"""


def card_section(result: SlimResult, best: Attempt) -> str:
    """Return what was trained, what is not known, and the table of the search with its verdict, in Markdown."""
    return _SECTION.format(
        training=_describe_training(result, best), limits=_describe_limits(result), table=result.to_markdown().rstrip()
    )


def _describe_training(result: SlimResult, best: Attempt) -> str:
    tried = len(result.rows) - 1
    many = f"{tried} candidates were tried" if tried > 1 else "One candidate was tried"
    how = "fitted in closed form to"
    if best.parts:
        parts = f"{len(best.parts)} part{'s' * (len(best.parts) > 1)}"
        how = f"trained for {best.steps:,} steps in {parts} to reproduce"
    dims = result.settings["dims"]
    fewer = ""
    if dims and result.labels == "none":
        fewer = f" Its vectors are on the first {dims} principal axes of the full model's, without centring."
    bare = "" if result.settings["bias"] or not best.candidate.blocks else " Its linear map on top has no bias."
    tokens = best.candidate.tokens
    trimmed = f" Its vocabulary has the {tokens:,} tokens that the texts need most." if tokens else ""
    labels = result.labels
    learned = "without labels" if labels == "none" else f"and then got a map trained on relevance labels of {labels}"
    made = f"{many}. The best one, {best.candidate}, was {how} the full model's vectors, {learned}."
    return f"{made}{fewer}{bare}{trimmed}"


def _describe_limits(result: SlimResult) -> str:
    data = result.settings["dataset"]["name"]
    known = f"The texts of {data} were seen in the training, and its test queries were used once."
    return f"{known} Texts of other domains were not tested: measure there before you rely on it."
