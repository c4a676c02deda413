"""sentence-transformers' trainer, as encoders are trained here."""

from typing import Any

from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer

__all__ = ["EncoderTrainer"]


class EncoderTrainer(SentenceTransformerTrainer):
    """The trainer, without the model card that describes its data set's columns."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save_pretrained(str(output_dir or self.args.output_dir), create_model_card=False)
