"""sentence-transformers' trainer, adapted for this package."""

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
from probe.layers.products import fast_products
from probe.models.device import pick_device, pick_dtype

__all__ = ["OPTIMIZER", "EncoderTrainer", "PlainTrainer", "encoder_arguments", "is_fast"]

_WEIGHTS = "trained.safetensors"
# In fingerprints: a training cannot resume from a checkpoint with other parameter groups.
OPTIMIZER = "adamw by learning rate"
_KNOWN = set(TrainerState.__dataclass_fields__)


def is_fast() -> bool:
    """Return whether this machine multiplies bfloat16 natively."""
    return pick_dtype("auto", pick_device("auto")) == torch.bfloat16


class PlainTrainer(SentenceTransformerTrainer):
    """A trainer without console output and without sentence-transformers' model card callback."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add no callback."""

    def run(self) -> None:
        """Train, resuming from the newest checkpoint; if the training had ended, only load its result."""
        # It prints to stdout, which is reserved for results.
        self.remove_callback(PrinterCallback)
        checkpoint = last_checkpoint(Path(str(self.args.output_dir)))
        # The initial scores are in the checkpoint: another evaluation would count as an epoch.
        self.args.eval_on_start = self.args.eval_on_start and checkpoint is None
        if checkpoint is None or not self.has_ended(state := read_state(checkpoint)):
            with fast_products(self.args.device):
                self.train(resume_from_checkpoint=checkpoint)
            return
        self.state = TrainerState(**{name: state[name] for name in _KNOWN & state.keys()})
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint:
            self._load_best_model()
        else:
            self._load_from_checkpoint(checkpoint)

    def has_ended(self, state: Mapping[str, Any]) -> bool:
        """Return whether the training had ended, given the trainer state in a checkpoint."""
        kept = [one for one in (state.get("stateful_callbacks") or {}).values() if isinstance(one, dict)]
        given = [{**one.get("args", {}), **one.get("attributes", {})} for one in kept]
        stopped_early = any(
            one["early_stopping_patience_counter"] >= one["early_stopping_patience"]
            for one in given
            if "early_stopping_patience" in one
        )
        return stopped_early or state["global_step"] >= self.args.max_steps

    def _load_best_model(self) -> None:
        # The base class would silently continue with the last epoch if the best cannot be read.
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))


class EncoderTrainer(PlainTrainer):
    """A trainer of encoders whose checkpoints contain the trained weights only.

    Attributes:
        sample: Embeds a fixed sample; its geometry is logged with every loss.
    """

    sample: Sample | None = None

    @property
    def _is_shared(self) -> bool:
        """Whether several processes share each batch and the loss does not gather across devices itself."""
        loss: Any = self.loss
        return world_size() > 1 and not any(getattr(part, "gather_across_devices", False) for part in loss.modules())

    def compute_loss(self, model: Any, *args: Any, **named: Any) -> Any:
        """Return the loss; with several processes, each returns the loss of all rows."""
        if not self._is_shared:
            return super().compute_loss(model, *args, **named)
        if model is self.model_wrapped:
            share_loss(self.loss, model)  # type: ignore[arg-type]
        # Columns embedded as one batch could not be separated after gathering.
        with column_merging_disabled():
            return super().compute_loss(model, *args, **named)

    def override_model_in_loss(self, loss: torch.nn.Module, model: Any) -> torch.nn.Module:
        """Return the loss; for shared batches its model is set in `compute_loss` instead."""
        found: torch.nn.Module = loss if self._is_shared else super().override_model_in_loss(loss, model)
        return found

    def get_train_dataloader(self) -> Any:
        """Return the training batches; with several processes, each gets its part of the same batches."""
        if world_size() == 1:
            return super().get_train_dataloader()
        data: Any = self.train_dataset
        # Not needed: all processes have the same number of batches here.
        self.args.dataloader_drop_last = False
        loader = self._build_dataloader(data, self.args.train_batch_size, dataset_kind="train")
        return own_part(loader, self.args.device)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return the held-out batches; every process gets all of them."""
        data: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        if world_size() == 1 or data is None:
            return super().get_eval_dataloader(eval_dataset)
        return whole(self._build_dataloader(data, self.args.eval_batch_size, dataset_kind="eval"), self.args.device)

    def evaluation_loop(self, *args: Any, **named: Any) -> Any:
        """Return the held-out metrics; every process has all rows, so nothing is gathered."""
        if world_size() > 1:
            self.gather_function = _keep
        return super().evaluation_loop(*args, **named)

    def get_decay_parameter_names(self, model: torch.nn.Module) -> list[str]:
        """Return the names of the matrices: biases and norms have no weight decay."""
        return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a loss together with the geometry of the sample, also to experiment trackers.

        Raises:
            TrainingError: The loss or the vectors are not finite.
        """
        check_loss(logs, "", self.state.global_step)
        if self.sample is not None and "loss" in logs:
            logs = {**logs, **measure_sample(self.model, self.sample, self.state.global_step)._asdict()}
        super().log(logs, start_time)

    def collect_features(self, inputs: dict[str, Any]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """Return the features of every column and the labels, gathered from all processes during training."""
        columns, labels = self._collect(inputs)
        if labels is not None and torch.is_grad_enabled() and self._is_shared:
            labels = all_gather_with_grad(labels)
        return columns, labels

    def _collect(self, inputs: dict[str, Any]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """Return the features and labels of this process's rows; a fused model has several inputs per column."""
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
        """Train, resuming from the newest checkpoint."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)
            super().run()
        # After mixed-precision training the model would keep computing in bfloat16.
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)

    def trained(self) -> dict[str, Tensor]:
        """Return the trained weights by name."""
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
        """Set the trained weights, by name as in `trained`."""
        for name, parameter in self.trained().items():
            parameter.copy_(weights[name])


def _keep(values: Tensor) -> Tensor:
    return values


def encoder_arguments(
    folder: Path, *, optim: str = "adamw_torch", **named: Any
) -> SentenceTransformerTrainingArguments:
    """Return training arguments for an encoder: AdamW, at most two checkpoints, no output on stdout."""
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        optim=optim,
        weight_decay=0.01,
        use_cpu=not torch.cuda.is_available(),
        logging_nan_inf_filter=False,
        save_total_limit=2,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **named,
    )
