"""Find the config fields that describe a model's blocks by trying them out, not by name alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["adopt", "block_changes", "change_config", "inner_config", "named_inside"]

# Raises if the original model cannot be built, or cannot run, from a config with these changes.
TryOut = Callable[[dict[str, Any]], object]


def inner_config(config: Any, inner: str | None) -> Any:
    """Return the config that counts the blocks: the nested config named `inner`, or the config itself."""
    return getattr(config, inner) if inner else config


def change_config(config: Any, changes: Mapping[str, Any], inner: str | None) -> Any:
    """Return a new config, as if loaded from its folder, with changed values for the blocks."""
    values = config.to_dict()
    counting = values[inner] if inner else values
    for name, value in changes.items():
        counting[name] = value
    made = type(config).from_dict(values)
    attention = getattr(config, "_attn_implementation", None)
    if attention is not None:
        made._attn_implementation = attention
    return made


def adopt(config: Any, made: Any, inner: str | None) -> None:
    """Overwrite a config in place with another one's values; all modules of a model share the one object."""
    if inner:
        counting = getattr(config, inner)
        vars(counting).clear()
        vars(counting).update(vars(getattr(made, inner)))
        vars(made)[inner] = counting
    vars(config).clear()
    vars(config).update(vars(made))


def block_changes(
    config: Any, inner: str | None, *, depth: int, chosen: Sequence[int], try_out: TryOut
) -> Iterator[dict[str, Any]]:
    """Yield candidate config changes for the chosen blocks out of `depth`, most likely first.

    A list has one entry per block if the original fails to build or run without its last entry; another list may have
    the same length by coincidence (DeBERTa's `pos_att_type`). Some configs number blocks from 0.

    Args:
        config: The original model's config.
        inner: Name of the nested config that counts the blocks, if any.
        depth: Number of blocks.
        chosen: Blocks, numbered from 1.
        try_out: Builds and runs the original from a config with the given changes.
    """
    counting = inner_config(config, inner)
    values = config.to_dict()
    values = values[inner] if inner else values
    count = getattr(counting, "attribute_map", {}).get("num_hidden_layers", "num_hidden_layers")
    changes: dict[str, Any] = {count: len(chosen)}
    for name, value in values.items():
        if _is_list_of(value, depth) and _fails(try_out, {name: value[:-1]}):
            changes[name] = [value[number - 1] for number in chosen]
        elif _is_by_number(value, depth) and _fails(try_out, {name: _with_one_more(value, depth)}):
            changes[name] = {chosen.index(int(k) + 1): v for k, v in value.items() if int(k) + 1 in chosen}
    yield changes
    numbers = {
        name: [chosen.index(index + 1) for index in value if index + 1 in chosen]
        for name, value in values.items()
        if name not in changes and _are_numbers(value, depth)
    }
    if numbers:
        yield {**changes, **numbers}
    lists = {name: [v[n - 1] for n in chosen] for name, v in values.items() if _is_list_of(v, depth)}
    if lists.keys() - changes.keys():
        yield {**changes, **lists}


def _is_list_of(value: Any, depth: int) -> bool:
    return isinstance(value, list) and len(value) == depth > 1


def _is_by_number(value: Any, depth: int) -> bool:
    return isinstance(value, dict) and bool(value) and all(_is_number(key, depth) for key in value)


def _with_one_more(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    """Return a dict keyed by block number with an extra entry for a block that does not exist."""
    key, entry = next(iter(value.items()))
    return {**value, type(key)(depth): entry}


def _is_number(key: Any, depth: int) -> bool:
    return str(key).isdecimal() and int(key) < depth


def _are_numbers(value: Any, depth: int) -> bool:
    return isinstance(value, list) and bool(value) and all(type(v) is int and 0 <= v < depth for v in value)


def _fails(try_out: TryOut, changes: dict[str, Any]) -> bool:
    try:
        try_out(changes)
    except Exception:  # third-party model code may raise anything if an entry is missing
        return True
    return False


def named_inside(config: Any) -> str | None:
    """Return the name of the nested config that describes the text model, or None."""
    text = config.get_text_config()
    return next((name for name, value in vars(config).items() if value is text), None)
