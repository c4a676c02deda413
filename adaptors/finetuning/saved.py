"""A trained encoder and its folder, which is a copy of the original's with new weights."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from adaptors.encoders.description import TrainedOn, describe_trained, is_adapted, read_adaptor
from adaptors.finetuning.encoder import TrainableEncoder
from adaptors.training.similarity_map import similarity_map
from probe.data.training_record import join_learned, read_learned, write_learned
from probe.encoding.protocols import Encoder
from probe.errors import CallError, ModelError
from surgery.saving import fresh_process
from surgery.saving.cards import write_trained_card
from surgery.saving.files import write_json
from surgery.saving.origin import add_step
from surgery.saving.save import save_folder
from surgery.saving.weights import VectorChange, check_dtype, forget_weights, store_weights

__all__ = ["TrainingResult", "Tuned", "check_trained", "save_tuned", "trained_files"]


@dataclass(frozen=True)
class Tuned:
    """A trained encoder with its description.

    Attributes:
        encoder: The trained encoder.
        trained_on: Data its weights were trained on.
        title: Heading of its model card.
        words: Section on its training for its model card, in Markdown.
        facts: Plain values on the training saved with the folder: its teacher, the scores before and after.
    """

    encoder: TrainableEncoder
    trained_on: TrainedOn
    title: str
    words: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A trained encoder; base class of the results of tuning and healing.

    Attributes:
        tuned: The encoder with its description.
        samples: A sample's vectors before and after the training, each of both sides `(B, D)`; empty unless requested.
    """

    sides: ClassVar[tuple[str, str]] = ("queries", "documents")

    tuned: Tuned = field(repr=False)
    samples: tuple[tuple[Tensor, Tensor], ...] = field(default=(), repr=False)

    @property
    def encoder(self) -> SentenceTransformer:
        """The trained encoder."""
        return self.tuned.encoder.model

    def save(self, out: str | Path, *, force: bool = False, weights_dtype: str | None = None) -> Path:
        """Save the encoder, after checking in a fresh process that the folder gives the same vectors.

        Args:
            out: Output folder; it is written completely or not at all.
            force: Overwrite the folder of an earlier save.
            weights_dtype: Store the weights in `float16` or `bfloat16`; default: in float32, as trained. The model is
                loaded in float32 all the same.

        Returns:
            The folder.

        Raises:
            CallError: The folder exists, or the dtype is unknown.
            ModelError: The files cannot be written, or give other vectors, or float16 cannot hold the weights.
        """
        return save_tuned(self.tuned, Path(out), force, weights_dtype=weights_dtype)

    def plot(self, file: str | Path) -> None:
        """Plot a sample's similarities before and after the training.

        Raises:
            CallError: There is no sample, the suffix is not an image's, or matplotlib is not installed.
        """
        if not self.samples:
            raise CallError("there is no sample to plot: train with sample=True")
        before, after = self.samples
        similarity_map(before, after, Path(file), sides=self.sides)


def save_tuned(
    tuned: Tuned,
    out: Path,
    force: bool,
    *,
    check: Callable[[Path], object] | None = None,
    weights_dtype: str | None = None,
) -> Path:
    """Save a trained encoder in the layout of the original; arguments, result and errors as for `save_folder`.

    Without `check`, the folder is loaded in a fresh process and has to give the same vectors.

    Raises:
        ModelError: In addition: the encoder does not match its folder.
    """
    compare = check or (lambda folder: check_trained(tuned.encoder, folder))
    check_dtype(weights_dtype)
    return save_folder(out, lambda folder: _write(tuned, folder, weights_dtype), force, check=compare)


def check_trained(encoder: TrainableEncoder, folder: Path) -> VectorChange:
    """Load the saved folder of a trained encoder in a fresh process and compare its vectors.

    Raises:
        ModelError: The folder cannot be loaded, or gives other vectors.
    """
    model = cast(Encoder, encoder.model)
    if encoder.is_paired:
        return fresh_process.check_pair(folder, model, model)
    return fresh_process.check_encoder(folder, model, not encoder.is_plain)


def _write(tuned: Tuned, folder: Path, weights_dtype: str | None) -> None:
    shutil.copytree(tuned.encoder.folder, folder, dirs_exist_ok=True)
    for path, values in trained_files(tuned.encoder, folder).items():
        save_file(values, path, metadata={"format": "pt"})
    for part in dict.fromkeys(tower.folder for tower in tuned.encoder.towers):
        _say_float32(folder / part / "config.json")
    forget_weights(folder)
    _add_steps(tuned, folder)
    # Before the description, which has the hash of the weights.
    store_weights(folder, weights_dtype)
    _describe(tuned, folder)
    write_trained_card(folder, tuned.title, tuned.words, towers=tuned.encoder.is_paired)


def _add_steps(tuned: Tuned, folder: Path) -> None:
    """Record the training in the folder, after an adaptor that was added before."""
    before = read_adaptor(folder) if is_adapted(folder) else None
    if before is not None and before.kind not in ("tuned", "healed"):
        add_step(folder, {"did": before.kind, "data": before.dataset.split("+"), "labels": before.labels})
    seen = [name for name, _ in tuned.trained_on.seen]
    add_step(
        folder,
        {"did": tuned.trained_on.kind, "data": seen, "labels": tuned.trained_on.labels, **tuned.facts},
    )


def _describe(tuned: Tuned, folder: Path) -> None:
    if tuned.encoder.is_paired:
        # The towers are read separately, so the folder has no description as one encoder.
        write_learned(join_learned([read_learned(folder), tuned.trained_on.learned]), folder)
    else:
        describe_trained(folder, tuned.trained_on, [tower.folder for tower in tuned.encoder.towers])


def _say_float32(path: Path) -> None:
    """Set the dtype of the config to float32, as trained; half precision would give other vectors."""
    config = json.loads(path.read_text(encoding="utf-8"))
    other = {name: "float32" for name in ("dtype", "torch_dtype") if config.get(name) not in (None, "float32")}
    if other:
        write_json(path, {**config, **other})


def trained_files(encoder: TrainableEncoder, folder: Path) -> dict[Path, dict[str, Tensor]]:
    """Return the weight files of a folder, with the tensors of a trained encoder of the same layout.

    Raises:
        ModelError: The encoder does not match the folder.
    """
    return {
        path: _renew(path, _tensors(module))
        for module, part in _parts(encoder, folder)
        for path in sorted(part.glob("*.safetensors"))
    }


def _parts(encoder: TrainableEncoder, folder: Path) -> Iterator[tuple[nn.Module, Path]]:
    """Yield every module that may have weights, with its folder."""
    # Both towers of a two-tower model are in one file.
    for module, part in dict.fromkeys((tower.module, tower.folder) for tower in encoder.towers):
        yield module, folder / part
    paths = [module["path"] for module in json.loads((folder / "modules.json").read_text(encoding="utf-8"))]
    for module, path in list(zip(encoder.model, paths, strict=True))[1:]:
        yield getattr(module, "adaptor", module), folder / path


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _renew(path: Path, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return trained values under the tensor names of a file; integer tensors are unchanged."""
    values = {}
    for name, tensor in load_file(path).items():
        found = [key for key in trained if key == name or name.endswith(f".{key}")]
        if tensor.is_floating_point() and (len(found) != 1 or trained[found[0]].shape != tensor.shape):
            raise ModelError(f"the trained encoder has no tensor for '{name}' in {path}")
        values[name] = trained[found[0]] if tensor.is_floating_point() else tensor
    return values
