"""The files of a model with fewer tokens: table of embeddings, tokenizer and config; all others are copied."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from probe.errors import ModelError
from surgery.saving.files import read_tensors, write_json
from surgery.vocabulary.original import Original
from surgery.vocabulary.tokenizer_file import TokenizerFile

__all__ = ["config_tokens", "refuse_other_tables", "write_trimmed"]

_WEIGHTS, _TOKENIZER, _SIZES = "model.safetensors", "tokenizer.json", "sentence_bert_config.json"
_CARD = "README.md"
# Vocabularies in other forms, which would disagree with tokenizer.json.
_STALE = ("vocab.*", "merges.txt", "*.model", "*.safetensors", _TOKENIZER, _CARD)
# Number that some configs round the size of the vocabulary up to.
_ROUNDING = "pad_vocab_size_multiple"


def refuse_other_tables(original: Original) -> None:
    """Refuse a model with further tables of one row per token.

    Raises:
        ModelError: A parameter besides the word embeddings has as many rows.
    """
    table = original.embedding.weight
    model = original.transformer if original.transformer is not None else original.pipeline[0]
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in tensors:
        if tensor.ndim and len(tensor) == len(table) and tensor.data_ptr() != table.data_ptr():
            raise ModelError(
                f"'{original.profile.source.name}' has a second tensor with a row per token, {name} of "
                f"{tuple(tensor.shape)}: expected the word embeddings alone, so it cannot be trimmed"
            )


def config_tokens(original: Original) -> set[int]:
    """Return the token ids that a model's config refers to."""
    path = original.part / "config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return {one for value in _ids_in(config) for one in (value if isinstance(value, list) else [value])}


def _ids_in(config: Mapping[str, Any]) -> Iterator[Any]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _ids_in(value)
        elif _is_id(key, value):
            yield value


def _is_id(key: str, value: Any) -> bool:
    several = value if isinstance(value, list) else [value]
    return key.endswith(("_token_id", "_token_ids")) and bool(several) and all(type(one) is int for one in several)


def write_trimmed(original: Original, file: TokenizerFile, folder: Path, *, ids: Mapping[int, int]) -> None:
    """Write a model with fewer tokens into a new folder, without a card.

    Args:
        original: The model.
        file: Its tokenizer.json.
        folder: Destination.
        ids: New ids by old ones, of all kept tokens.

    Raises:
        ModelError: Its files do not hold the word embeddings under a name of the model.
    """
    table = original.embedding.weight
    rows = [old for old, _ in sorted(ids.items(), key=lambda entry: entry[1]) if old < len(table)]
    part = folder / original.part.relative_to(original.folder)
    named = {*_STALE, *getattr(original.pipeline.tokenizer, "vocab_files_names", {}).values()}
    shutil.copytree(
        original.folder,
        folder,
        ignore=lambda at, names: _ignored(names, named if Path(at) == original.part else {_CARD}),
    )
    _write_rows(original, rows, part)
    write_json(part / _TOKENIZER, file.reduce(ids))
    _write_tokenizer_settings(part, ids)
    if original.transformer is not None:
        _write_config(original, part, ids, size=len(rows))


def _ignored(names: Sequence[str], stale: set[str]) -> set[str]:
    """Return the files not to copy."""
    return {name for name in names if any(Path(name).match(pattern) for pattern in stale)}


def _write_rows(original: Original, rows: Sequence[int], part: Path) -> None:
    """Write the weights, with the given rows of the word embeddings; heads with a row per token are left out."""
    from safetensors.torch import save_file

    table = original.embedding.weight
    model = original.transformer if original.transformer is not None else original.pipeline[0]
    known = [name for name, one in model.state_dict().items() if one.data_ptr() == table.data_ptr()]
    tensors, found = {}, False
    for name, tensor in read_tensors(original.part):
        if not tensor.ndim or len(tensor) != len(table):
            tensors[name] = tensor
        elif any(f".{name}".endswith(f".{one}") for one in known) and _holds(tensor, table):
            tensors[name], found = tensor[torch.tensor(rows)].clone(), True
    if not found:
        raise ModelError(
            f"the weights of '{original.profile.source.name}' have no tensor named like its word embeddings, "
            f"{known[0]}: it cannot be trimmed"
        )
    save_file(tensors, part / _WEIGHTS, metadata={"format": "pt"})


def _holds(tensor: Tensor, table: Tensor) -> bool:
    return tensor.shape == table.shape and torch.equal(tensor.to(table.dtype), table)


def _write_tokenizer_settings(part: Path, ids: Mapping[int, int]) -> None:
    """Renumber the tokens in the files beside tokenizer.json that name ids."""
    settings, added = part / "tokenizer_config.json", part / "added_tokens.json"
    if settings.is_file():
        found = json.loads(settings.read_text("utf-8"))
        if "added_tokens_decoder" in found:
            decoder = {str(ids[int(old)]): token for old, token in found["added_tokens_decoder"].items()}
            found["added_tokens_decoder"] = dict(sorted(decoder.items(), key=lambda entry: int(entry[0])))
        write_json(settings, found)
    if added.is_file():
        write_json(added, {token: ids[old] for token, old in json.loads(added.read_text("utf-8")).items()})


def _write_config(original: Original, part: Path, ids: Mapping[int, int], *, size: int) -> None:
    """Change the size of the vocabulary and the ids of tokens in config.json, and where settings override it."""
    loaded: Any = original.transformer.config
    text = loaded.get_text_config()
    inner = next((name for name, value in vars(loaded).items() if value is text), None)
    counted = text.attribute_map.get("vocab_size", "vocab_size")
    config = _renumbered(json.loads((part / "config.json").read_text("utf-8")), ids)
    holder = config.setdefault(inner, {}) if inner else config
    holder[counted] = size
    if _ROUNDING in holder:
        holder[_ROUNDING] = 1
    write_json(part / "config.json", config)
    sizes = json.loads((part / _SIZES).read_text("utf-8"))
    for name in {"config_args", "config_kwargs"} & sizes.keys():
        overrides = {counted, "vocab_size", *(key for key, value in sizes[name].items() if _is_id(key, value))}
        sizes[name] = {key: value for key, value in sizes[name].items() if key not in overrides}
    write_json(part / _SIZES, sizes)


def _renumbered(config: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found[key] = _renumbered(value, ids)
        elif _is_id(key, value):
            found[key] = [ids.get(one, one) for one in value] if isinstance(value, list) else ids.get(value, value)
        else:
            found[key] = value
    return found
