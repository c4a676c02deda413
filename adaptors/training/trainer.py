"""sentence-transformers' trainer, as models are trained here."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.losses.merged_forward import column_merging_disabled
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments
from sentence_transformers.util import all_gather_with_grad
from torch import Tensor
from transformers.trainer_callback import PrinterCallback, TrainerState

from adaptors.training.callbacks import check_loss
from adaptors.training.checkpoints import last_checkpoint, read_state
from adaptors.training.distributed import own_part, share_loss, whole, world_size
from adaptors.training.metrics_log import Sample, measure_sample
from probe.io.files import replace_file
from probe.models.device import pick_device, pick_dtype

__all__ = ["OPTIMIZER", "EncoderTrainer", "PlainTrainer", "encoder_arguments", "is_fast"]

_WEIGHTS = "trained.safetensors"
# In fingerprints: a training cannot go on from a checkpoint with other groups of parameters.
OPTIMIZER = "adamw by learning rate"
_KNOWN = set(TrainerState.__dataclass_fields__)


def is_fast() -> bool:
    """Return whether this machine multiplies bfloat16 natively."""
    return pick_dtype("auto", pick_device("auto")) == torch.bfloat16


class PlainTrainer(SentenceTransformerTrainer):
    """The trainer, silent, and without the model card that describes its data set's columns."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none."""

    def run(self) -> None:
        """Train, from the newest checkpoint in its folder on; of a training that had ended, only the end is loaded."""
        # It writes to stdout, where results go.
        self.remove_callback(PrinterCallback)
        checkpoint = last_checkpoint(Path(str(self.args.output_dir)))
        # The scores of the start are in the checkpoint: evaluated again, it would count as another epoch.
        self.args.eval_on_start = self.args.eval_on_start and checkpoint is None
        if checkpoint is None or not self.has_ended(state := read_state(checkpoint)):
            self.train(resume_from_checkpoint=checkpoint)
            return
        self.state = TrainerState(**{name: state[name] for name in _KNOWN & state.keys()})
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint:
            self._load_best_model()
        else:
            self._load_from_checkpoint(checkpoint)

    def has_ended(self, state: Mapping[str, Any]) -> bool:
        """Return whether no step is left after a checkpoint, given what the trainer wrote of itself into it."""
        kept = [one for one in (state.get("stateful_callbacks") or {}).values() if isinstance(one, dict)]
        given = [{**one.get("args", {}), **one.get("attributes", {})} for one in kept]
        lost_patience = any(
            one["early_stopping_patience_counter"] >= one["early_stopping_patience"]
            for one in given
            if "early_stopping_patience" in one
        )
        return lost_patience or state["global_step"] >= self.args.max_steps

    def _load_best_model(self) -> None:
        # The trainer's own goes on with the last epoch where the best cannot be read.
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))


class EncoderTrainer(PlainTrainer):
    """The trainer of encoders, whose checkpoints hold the trained weights alone.

    Attributes:
        sample: Embeds a fixed sample, whose geometry is logged with every loss.
    """

    sample: Sample | None = None

    @property
    def _is_shared(self) -> bool:
        """Whether batches are shared by processes whose loss does not gather their parts itself."""
        loss: Any = self.loss
        return world_size() > 1 and not any(getattr(part, "gather_across_devices", False) for part in loss.modules())

    def compute_loss(self, model: Any, *args: Any, **named: Any) -> Any:
        """Return the loss; of several processes, each returns that of all their rows."""
        if not self._is_shared:
            return super().compute_loss(model, *args, **named)
        if model is self.model_wrapped:
            share_loss(self.loss, model)  # type: ignore[arg-type]
        # Columns that were embedded as one batch could not be told apart once they are gathered.
        with column_merging_disabled():
            return super().compute_loss(model, *args, **named)

    def override_model_in_loss(self, loss: torch.nn.Module, model: Any) -> torch.nn.Module:
        """Return the loss, which is given the model here where batches are shared."""
        found: torch.nn.Module = loss if self._is_shared else super().override_model_in_loss(loss, model)
        return found

    def get_train_dataloader(self) -> Any:
        """Return batches; of several processes, each gets its part of the same ones."""
        if world_size() == 1:
            return super().get_train_dataloader()
        data: Any = self.train_dataset
        # It keeps processes from waiting for one another: here all have equally many batches anyway.
        self.args.dataloader_drop_last = False
        loader = self._build_dataloader(data, self.args.train_batch_size, dataset_kind="train")
        return own_part(loader, self.args.device)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return held-out batches, which every process gets whole."""
        data: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        if world_size() == 1 or data is None:
            return super().get_eval_dataloader(eval_dataset)
        return whole(self._build_dataloader(data, self.args.eval_batch_size, dataset_kind="eval"), self.args.device)

    def evaluation_loop(self, *args: Any, **named: Any) -> Any:
        """Return the metrics of held-out rows, all of which every process has seen."""
        if world_size() > 1:
            self.gather_function = _keep
        return super().evaluation_loop(*args, **named)

    def get_decay_parameter_names(self, model: torch.nn.Module) -> list[str]:
        """Return the names of matrices: biases and norms do not decay."""
        return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a loss together with the geometry of the sample, which trackers then see too.

        Raises:
            TrainingError: The loss is not a number, or the vectors are not.
        """
        check_loss(logs, "", self.state.global_step)
        if self.sample is not None and "loss" in logs:
            logs = {**logs, **measure_sample(self.model, self.sample, self.state.global_step)._asdict()}
        super().log(logs, start_time)

    def collect_features(self, inputs: dict[str, Any]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """Return the features of every column, and the labels, where they are learned of all processes' rows."""
        columns, labels = self._collect(inputs)
        if labels is not None and torch.is_grad_enabled() and self._is_shared:
            labels = all_gather_with_grad(labels)
        return columns, labels

    def _collect(self, inputs: dict[str, Any]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """Return the same of this process's rows; a fused model has several inputs in each column."""
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
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)
            super().run()
        # It leaves the model computing in bfloat16.
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)

    def trained(self) -> dict[str, Tensor]:
        """Return the weights that are trained, by name."""
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        values = {name: tensor.contiguous() for name, tensor in self.trained().items()}
        replace_file(folder / _WEIGHTS, lambda path: save_file(values, path))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.restore(load_file(Path(resume_from_checkpoint) / _WEIGHTS))

    @torch.no_grad()
    def restore(self, weights: dict[str, Tensor]) -> None:
        """Set the trained weights, by name as `trained` gives them."""
        for name, parameter in self.trained().items():
            parameter.copy_(weights[name])


def _keep(values: Tensor) -> Tensor:
    return values


def encoder_arguments(folder: Path, **named: Any) -> SentenceTransformerTrainingArguments:
    """Return the arguments of a training of an encoder: AdamW, two checkpoints at most, nothing on stdout."""
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        optim="adamw_torch",
        weight_decay=0.01,
        use_cpu=not torch.cuda.is_available(),
        logging_nan_inf_filter=False,
        save_total_limit=2,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **named,
    )
