"""sentence-transformers' trainer, as models are trained here."""

from typing import Any

from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer

__all__ = ["EncoderTrainer", "PlainTrainer"]


class PlainTrainer(SentenceTransformerTrainer):
    """The trainer, without the model card that describes its data set's columns."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save_pretrained(str(output_dir or self.args.output_dir), create_model_card=False)


class EncoderTrainer(PlainTrainer):
    """The trainer of encoders, without dropout.

    What a teacher says of a text is exact: dropout would teach the student to match it through noise.
    """

    def compute_loss(self, model: Any, *args: Any, **named: Any) -> Any:
        """Return the loss of the model as it is when it embeds."""
        return super().compute_loss(model.eval(), *args, **named)
