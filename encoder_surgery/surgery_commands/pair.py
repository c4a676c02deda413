"""The command `surgery pair`."""

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.completion import complete_specs
from encoder_surgery.shell.output import say
from encoder_surgery.shell.positional import positional
from encoder_surgery.shell.save_model import FolderFlags, name_folder, say_saved
from probe.layers.hookpoint import split_spec

__all__ = ["pair"]

_QUERIES = "Encoder of queries: model\\[@layer]\\[:pooling], or a folder, such as a static cut or a cut with a lens."
_DOCUMENTS = "Encoder of documents, of the same dimension."


@friendly
def pair(
    query_encoder: Annotated[str, positional(_QUERIES, "--queries", complete=complete_specs)],
    document_encoder: Annotated[str, positional(_DOCUMENTS, "--documents", complete=complete_specs)],
    *,
    folder: FolderFlags,
) -> None:
    """Save an encoder of queries and one of documents as one model; prints its folder.

    sentence-transformers and mteb use it as it is: encode_query runs the first, encode_document the second.
    """
    from surgery.fusing.folder import save
    from surgery.pairing.folder import check_pair_folder, read_agreement
    from surgery.pairing.model import pair as pair_encoders
    from surgery.saving.save import check_out

    out = folder.out or Path(f"{_short_name(query_encoder)}-{_short_name(document_encoder)}-pair")
    check_out(out, folder.force)
    paired = pair_encoders(query_encoder, document_encoder)
    say(f"saving {out} and checking it in a fresh process")
    check = partial(check_pair_folder, pair=paired, fresh=True)
    save(paired, out, force=folder.force, check=check, weights_dtype=folder.weights_dtype)
    agreement = read_agreement(out)
    say(str(agreement))
    if not agreement.is_plausible:
        say(
            "the two look like unrelated spaces: use a cut of the other with a lens (surgery cut --lens), or a static "
            "cut of it (surgery cut --after 0)"
        )
    say_saved(out)
    say(f"to measure how well they fit: {shlex.join(['probe', 'rank', document_encoder, _folder_spec(out)])}")


def _short_name(spec: str) -> str:
    """Return a spec without characters that are awkward in folder names."""
    model, layers, pooling = split_spec(spec)
    return "-".join(word for word in (name_folder(model), layers, pooling) if word)


def _folder_spec(out: Path) -> str:
    return str(out) if out.is_absolute() or str(out).startswith(".") else f"./{out}"
