"""sentence-transformers' trainer, as models are trained here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from torch import Tensor
from transformers.trainer_callback import PrinterCallback

from adaptors.checkpoints import last_checkpoint
from adaptors.scope import Group

__all__ = ["DistilTrainer", "EncoderTrainer", "PlainTrainer"]

_WEIGHTS = "trained.safetensors"
_WEIGHT_DECAY = 0.01


class PlainTrainer(SentenceTransformerTrainer):
    """The trainer, without the model card that describes its data set's columns."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save_pretrained(str(output_dir or self.args.output_dir), create_model_card=False)


class EncoderTrainer(PlainTrainer):
    """The trainer of encoders: every group of weights has its own learning rate; a checkpoint holds what is trained."""

    groups: Sequence[Group] = ()

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return AdamW over the groups; biases and norms do not decay."""
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(
                [
                    {
                        "params": [p for p in group.parameters if (p.ndim > 1) == decays],
                        "lr": group.factor * self.args.learning_rate,
                        "weight_decay": _WEIGHT_DECAY * decays,
                    }
                    for group in self.groups
                    for decays in (True, False)
                ]
            )
        return self.optimizer

    def collect_features(self, inputs: dict[str, Any]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """Return the features of every column; a fused model has several inputs in each."""
        data: Any = self.train_dataset
        names = [name for name in data.column_names if any(key.startswith(f"{name}_") for key in inputs)]
        if not names:
            found: tuple[list[dict[str, Tensor]], Tensor | None] = super().collect_features(inputs)
            return found
        columns = [
            {key[len(name) + 1 :]: inputs[key] for key in inputs if key.startswith(f"{name}_")} for name in names
        ]
        return columns, inputs.get("label")

    def run(self) -> None:
        """Train, from the newest checkpoint in its folder on."""
        # It writes to stdout, where results go.
        self.remove_callback(PrinterCallback)
        self.train(resume_from_checkpoint=last_checkpoint(Path(str(self.args.output_dir))))
        # It leaves the model computing in bfloat16.
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)

    def trained(self) -> dict[str, Tensor]:
        """Return the weights that are trained, by name."""
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in self.trained().items()}, folder / _WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.restore(load_file(Path(resume_from_checkpoint) / _WEIGHTS))

    def _load_best_model(self) -> None:
        # The trainer's own goes on with the last epoch where the best cannot be read.
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))

    @torch.no_grad()
    def restore(self, weights: dict[str, Tensor]) -> None:
        """Give what is trained other values.

        Args:
            weights: By name, as `trained` gives them.
        """
        for name, parameter in self.trained().items():
            parameter.copy_(weights[name])


class DistilTrainer(EncoderTrainer):
    """The trainer of encoders, without dropout.

    What a teacher says of a text is exact: dropout would teach the student to match it through noise.
    """

    def compute_loss(self, model: Any, *args: Any, **named: Any) -> Any:
        """Return the loss of the model as it is when it embeds."""
        return super().compute_loss(model.eval(), *args, **named)
