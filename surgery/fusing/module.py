"""A fused model as a sentence-transformers module, for `SentenceTransformer(folder, trust_remote_code=True)`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.sentence_transformer.modules import InputModule
from torch import Tensor, nn

from probe.errors import ModelError
from probe.models.info import ModelProfile
from probe.models.options import LoadOptions
from probe.models.tokenization import Role
from surgery.fusing.folder import open_fused, write_fused
from surgery.fusing.model import FusedModel

__all__ = ["FusedModule"]

_CPU = torch.device("cpu")


class FusedModule(InputModule):
    """A module that tokenizes for every member, runs each once and joins the vectors; its weights are frozen."""

    def __init__(self, model: FusedModel) -> None:
        """Wrap a fused model in float32."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.members = nn.ModuleList([reader.loaded.module for reader in model.readers])
        self.members.requires_grad_(False)
        self.tokenizer = model.readers[0].loaded.tokenizer

    @classmethod
    def load(  # type: ignore[override]
        cls, model_name_or_path: str, subfolder: str = "", **options: Any
    ) -> "FusedModule":
        """Load a folder or hub repository; download options are passed on to sentence-transformers."""
        wanted = ("token", "cache_folder", "revision", "local_files_only")
        folder = cls.load_dir_path(model_name_or_path, subfolder, **{k: options[k] for k in wanted if k in options})
        if folder is None:
            raise ModelError(f"'{model_name_or_path}' not found: expected a saved folder or a hub id")
        trust = bool(options.get("trust_remote_code"))
        module = cls(open_fused(folder, LoadOptions(dtype="float32", device="cpu", trust_remote_code=trust)))
        asked = (options.get("model_kwargs") or {}).get("dtype") or (options.get("model_kwargs") or {}).get(
            "torch_dtype"
        )
        dtype = getattr(torch, asked, None) if isinstance(asked, str) else asked
        return module if dtype is None else module.to(dtype)

    def save(self, output_path: str, *args: Any, **options: Any) -> None:
        """Write the model's files into an existing folder."""
        write_fused(self.model, Path(output_path))

    @property
    def max_seq_length(self) -> int:
        """Maximum input length in tokens that no member truncates."""
        return min(reader.model.max_tokens for reader in self.model.readers)

    def get_embedding_dimension(self) -> int:
        """Return the dimension D of the vectors."""
        return self.model.width

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **options: Any) -> dict[str, Any]:
        """Tokenize texts for every member.

        Args:
            inputs: N texts.
            prompt: Prompt prefix for every member; default: each member's own prompt for the task.
            options: `task` may be `query` or `document`; other options are ignored.

        Returns:
            Token ids and masks `(N, T)`; the keys of member i start with `i_`.
        """
        features: dict[str, Any] = {"task": options.get("task")}
        for number, reader in enumerate(self.model.readers):
            batch = reader.batch(inputs, _role_of(reader.model, prompt, options.get("task")))
            features |= {f"{number}_{name}": value for name, value in batch.inputs(_CPU).items()}
        return features

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Embed the output of `preprocess`; adds `sentence_embedding` `(N, D)`."""
        blocks: dict[Any, Tensor] = {}
        for number, reader in enumerate(self.model.readers):
            points = self.model.points_of(reader)
            start = f"{number}_"
            inputs = {name.removeprefix(start): value for name, value in features.items() if name.startswith(start)}
            with reader.capture([point.layer_pooling for point in points]) as capture:
                states = reader.run_batch(capture, inputs, features.get("task") or "document")
            # A text without a token has no state to pool.
            empty = inputs["attention_mask"].sum(dim=1, keepdim=True) == 0
            blocks |= {point: states[point.layer_pooling].masked_fill(empty, 0.0) for point in points}
        fusion = self.model.fusion
        joined = fusion.join([blocks[point] for point in fusion.points])
        return {**features, "sentence_embedding": joined.to(next(self.members.parameters()).dtype)}


def _role_of(model: ModelProfile, prompt: str | None, task: str | None) -> Role:
    """Return the role of a text for a member, with the caller's prompt, the member's own for the task, or none."""
    own = {"query": model.query_prompt, "document": model.document_prompt}.get(task or "", "")
    return Role(task or "document", prompt or own)
