"""Whether a folder's own row is the model: our vectors beside those of sentence-transformers and transformers."""

import copy
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

import probe
import surgery
from probe.errors import ProbeError
from probe.models.options import LoadOptions

__all__ = ["TEXTS", "Outcome", "compare_cut", "compare_inner", "compare_own", "open_reference", "our_options"]

_TOLERANCE = 1e-5
_MOST_LINES = 2

# No text, one word, capitals, letters no tokenizer was trained on, several lines, and more tokens than any model takes.
TEXTS = (
    "",
    "gold",
    "The Heart OF Gold",
    "café 北京 ﬁre 🙂 ﷺ",
    "cold wind,\n\twinter  snow!",
    "a storm of salt and sand over the valley at night",
    " ".join(["silver moon over the lake", "wood ice oil"] * 12),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a comparison.

    Attributes:
        kind: `equal`, `refused`, `wrong`, `crash`, or `nothing` where there is nothing to compare with.
        words: The difference, the refusal, or what went wrong.
    """

    kind: str
    words: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}"


def guarded(compare: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Make a comparison tell a refusal, in a line or two, from a crash."""

    def run(*args: Any, **options: Any) -> Outcome:
        """Compare."""
        try:
            return compare(*args, **options)
        except ProbeError as error:
            said = str(error)
            known = len(said.splitlines()) <= _MOST_LINES and "internal error" not in said
            return Outcome("refused" if known else "crash", said)
        except Exception:
            return Outcome("crash", traceback.format_exc(limit=-4))

    return run


def open_reference(folder: Path, trust: bool = False) -> SentenceTransformer | None:
    """Return what sentence-transformers makes of a folder, in float32 on the processor; None where it refuses it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SentenceTransformer(
                str(folder),
                device="cpu",
                trust_remote_code=trust,
                local_files_only=True,
                model_kwargs={"dtype": torch.float32},
            )
    except Exception:
        return None


def our_options(trust: bool = False) -> LoadOptions:
    """Return how we load a folder: as the reference does."""
    return LoadOptions(dtype="float32", device="cpu", trust_remote_code=trust)


@guarded
def compare_own(folder: Path, texts: Sequence[str] = TEXTS, *, trust: bool = False) -> Outcome:
    """Compare the bare spec's vectors with sentence-transformers', one text at a time there."""
    reference = open_reference(folder, trust)
    ours = probe.load_encoder(str(folder), our_options(trust))
    if reference is None:
        return Outcome("nothing", "sentence-transformers does not load it, and we do")
    sides = [(ours.encode_query, "encode_query"), (ours.encode_document, "encode_document")]
    found = [_compare_side(mine, partial(_one_alone, reference, theirs), texts) for mine, theirs in sides]
    similarity = getattr(ours, "similarity_fn_name", None)
    if similarity not in (None, reference.similarity_fn_name):
        found.append(Outcome("wrong", f"ranked by {similarity}, not by {reference.similarity_fn_name}"))
    return _worst(found)


@guarded
def compare_inner(folder: Path, norm: str | None, shift: int = 0, *, trust: bool = False) -> Outcome:
    """Compare `own` at every inner layer with transformers' hidden states put through the folder's own modules.

    Args:
        folder: The model.
        norm: Name of the model's final norm, applied at every depth, and of a projection after it behind a `+`; None
            where there is none.
        shift: How many layers transformers' list of states leaves out at its beginning.
        trust: Whether the folder's code may run.
    """
    reference = open_reference(folder, trust)
    if reference is None:
        return Outcome("nothing")
    depth = probe.load_encoder(str(folder), our_options(trust)).depth
    found = []
    for layer in range(shift, depth):
        ours = probe.load_encoder(f"{folder}@{layer}", our_options(trust))
        theirs = partial(_states_at, reference, layer - shift, norm, "query")
        found.append(_compare_side(ours.encode_query, theirs, TEXTS, f"@{layer}"))
    return _worst(found)


@guarded
def compare_cut(folder: Path, after: int, out: Path, *, texts: Sequence[str] = TEXTS, trust: bool = False) -> Outcome:
    """Compare the row at a layer with plain sentence-transformers on a cut after it."""
    model = probe.load_model(str(folder), our_options(trust))
    surgery.save(surgery.cut(model, after), out)
    saved = open_reference(out, trust)
    if saved is None:
        return Outcome("wrong", f"plain sentence-transformers does not load the cut after {after}")
    row = probe.load_encoder(f"{folder}@{after}", our_options(trust))
    sides = [(row.encode_query, "encode_query"), (row.encode_document, "encode_document")]
    found = [_compare_side(mine, partial(_one_alone, saved, theirs), texts, f"cut {after}") for mine, theirs in sides]
    own = open_reference(folder, trust)
    if own is not None and own.similarity_fn_name != saved.similarity_fn_name:
        found.append(Outcome("wrong", f"the cut is ranked by {saved.similarity_fn_name}, not {own.similarity_fn_name}"))
    return _worst(found)


def _one_alone(model: SentenceTransformer, method: str, text: str) -> Any:
    """Embed a text by a model that has read no other: BigBird's attention never comes back from a short one."""
    return getattr(copy.deepcopy(model), method)([text], show_progress_bar=False)[0]


def _compare_side(
    ours: Callable[[Sequence[str]], Any], theirs: Callable[[str], Any], texts: Sequence[str], where: str = ""
) -> Outcome:
    """Compare in one batch here and one text at a time there; texts that the reference cannot take are left out."""
    expected: dict[str, Any] = {}
    for text in texts:
        try:
            vector = np.asarray(theirs(text), dtype=np.float32)
        except Exception:
            continue
        if np.isfinite(vector).all():
            expected[text] = vector
    if not expected:
        return Outcome("nothing", "the reference gives no finite vector")
    known = list(expected)
    found = np.asarray(ours(known), dtype=np.float32)
    wanted = np.stack([expected[text] for text in known])
    if found.shape != wanted.shape:
        return Outcome("wrong", f"{where} shape {found.shape} where the reference has {wanted.shape}")
    apart = np.abs(found - wanted).max(axis=1) / max(1.0, float(np.abs(wanted).max()))
    worst = int(apart.argmax())
    words = f"{where} differs by {apart[worst]:.1e} at {known[worst][:24]!r}"
    return Outcome("equal" if apart[worst] <= _TOLERANCE else "wrong", words.strip())


def _states_at(model: SentenceTransformer, number: int, norm: str | None, *rest: str) -> Any:
    """Return the vector that a pipeline makes of one of transformers' hidden states."""
    side, text = rest
    model = copy.deepcopy(model).eval()
    prompt = model.prompts.get(side) or None
    features = model.preprocess([text], prompt=prompt, task=side)
    transformer = model[0]
    forward = transformer.model.forward

    def read(*args: Any, **options: Any) -> Any:
        """Run the model, and give that state as its last one."""
        output = forward(*args, **options, output_hidden_states=True)
        # Some models pad further inside, and take that off their last state alone.
        states = output.hidden_states[number][:, : features["input_ids"].shape[1]]
        for name in norm.split("+") if norm else ():
            states = transformer.model.get_submodule(name)(states)
        output.last_hidden_state = states
        return output

    transformer.model.forward = read
    with torch.inference_mode():
        out = transformer(features)
        for module in list(model)[1:]:
            out = module(out)
    vector = out["sentence_embedding"][0]
    return vector if model.truncate_dim is None else vector[: model.truncate_dim]


def _worst(found: Sequence[Outcome]) -> Outcome:
    order = ("wrong", "nothing", "equal")
    return min(found, key=lambda one: (order.index(one.kind), -len(one.words)))
