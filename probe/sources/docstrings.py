"""The embedded data set: known-item retrieval over the docstrings of the installed scientific Python stack."""

import importlib
import importlib.util
import inspect
import io
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from types import FunctionType, ModuleType

from probe.data.dataset import DEFAULT_DATASET, Dataset
from probe.data.texts import Texts
from probe.errors import CallError

__all__ = ["SYNTHETIC", "package_of", "read_docstrings"]

# The order of the modules is the order of the documents.
_MODULES = """
argparse array ast asyncio base64 bisect calendar codecs collections colorsys concurrent.futures configparser
contextlib copy csv ctypes dataclasses datetime decimal difflib email.message enum fnmatch fractions functools gc
getpass gettext glob gzip hashlib heapq hmac html http.client http.server imaplib importlib inspect io ipaddress
itertools json locale logging logging.handlers mailbox math mimetypes multiprocessing multiprocessing.pool numbers
operator os os.path pathlib pickle platform pprint queue random re sched secrets select selectors shelve shlex shutil
signal smtplib socket socketserver sqlite3 ssl statistics string struct subprocess sys tarfile tempfile textwrap
threading time timeit tokenize traceback types typing unicodedata unittest unittest.mock urllib.parse urllib.request
urllib.robotparser uuid warnings wave weakref xml.dom.minidom xml.etree.ElementTree xmlrpc.client zipfile zlib numpy
numpy.fft numpy.lib.stride_tricks numpy.linalg numpy.ma numpy.polynomial numpy.random numpy.testing
scipy.cluster.hierarchy scipy.cluster.vq scipy.constants scipy.fft scipy.integrate scipy.interpolate scipy.io
scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.signal.windows scipy.sparse scipy.sparse.csgraph
scipy.sparse.linalg scipy.spatial scipy.spatial.distance scipy.special scipy.stats scipy.stats.mstats scipy.stats.qmc
sklearn.calibration sklearn.cluster sklearn.compose sklearn.covariance sklearn.datasets sklearn.decomposition
sklearn.ensemble sklearn.feature_extraction sklearn.feature_extraction.text sklearn.feature_selection
sklearn.gaussian_process sklearn.impute sklearn.inspection sklearn.linear_model sklearn.manifold sklearn.metrics
sklearn.metrics.pairwise sklearn.mixture sklearn.model_selection sklearn.multiclass sklearn.naive_bayes
sklearn.neighbors sklearn.neural_network sklearn.pipeline sklearn.preprocessing sklearn.random_projection
sklearn.semi_supervised sklearn.svm sklearn.tree sklearn.utils torch torch.autograd torch.distributions torch.fft
torch.linalg torch.nn torch.nn.functional torch.nn.init torch.nn.utils torch.optim torch.optim.lr_scheduler
torch.special torch.utils.data
"""
SYNTHETIC = "known-item: summary line finds the rest of its docstring"

_SPLIT = "test"
# Shorter summaries are ambiguous, longer ones are not summaries.
_QUERY_WORDS = range(5, 31)
_FEWEST_DOCUMENT_WORDS = 40

_SIGNATURE = re.compile(r"[\w.]+\(")
# Text generated at import that differs between processes: addresses, random samples, printed sets.
_UNSTABLE = re.compile(r"\bat 0x[0-9a-f]{6,}|# may vary|``\{'")


def read_docstrings(split: str | None = None) -> Dataset:
    """Collect the docstrings of the public names of the modules in `_MODULES`.

    Returns:
        A data set with the summary lines as queries and the rest of each docstring as documents.

    Raises:
        CallError: If another split is requested.
    """
    if split not in (None, _SPLIT):
        raise CallError(f"'{DEFAULT_DATASET}' has no split '{split}': use {_SPLIT}")
    documents: dict[str, str] = {}
    queries: dict[str, str] = {}
    seen: set[str] = set()
    for name, summary, rest in _docstrings():
        if summary in seen or rest in seen:
            continue
        seen |= {summary, rest}
        documents[name], queries[name] = rest, summary
    # The document id must differ from the query id, or BEIR's id rule would drop the document.
    return Dataset(
        name=DEFAULT_DATASET,
        split=_SPLIT,
        documents=Texts(tuple(documents), tuple(documents.values())),
        queries=Texts(tuple(f"? {name}" for name in queries), tuple(queries.values())),
        qrels={f"? {name}": {name: 1} for name in queries},
        synthetic=SYNTHETIC,
    )


def package_of(name: str) -> str:
    """Return the package of a docstring id; all standard modules count as one package."""
    return "standard library" if _is_standard(name) else name.partition(".")[0]


def _docstrings() -> Iterator[tuple[str, str, str]]:
    for module_name in _MODULES.split():
        module = _import(module_name)
        if module is None:
            continue
        for name in sorted(dir(module)):
            parts = _split_docstring(_own(module, name)) if not name.startswith("_") else None
            if parts is not None:
                yield (f"{module_name}.{name}", *parts)


def _import(name: str) -> ModuleType | None:
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        return None


def _own(module: ModuleType, name: str) -> object:
    """Return the original attribute of a module, even if another package has patched it (Ray does in `inspect`)."""
    value = getattr(module, name, None)
    if not (isinstance(value, FunctionType) and _is_standard(module.__name__)) or _is_standard(value.__module__ or ""):
        return value
    if module.__name__ in sys.builtin_module_names:  # a second `sys` would open its own streams
        return getattr(module, f"__{name}__", None)
    return getattr(_load_afresh(module.__name__), name, None)


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


@cache
def _load_afresh(name: str) -> ModuleType | None:
    """Return a second, unpatched copy of a module."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _split_docstring(value: object) -> tuple[str, str] | None:
    """Return the summary and the rest, or None if either is unsuitable."""
    if not callable(value):
        return None
    paragraphs = [" ".join(part.split()) for part in (inspect.getdoc(value) or "").split("\n\n")]
    # Docstrings of compiled functions start with the signature, which contains the answer.
    while paragraphs and _SIGNATURE.match(paragraphs[0]):
        del paragraphs[0]
    summary, rest = (paragraphs or [""])[0], " ".join(part for part in paragraphs[1:] if part)
    lengths_fit = len(summary.split()) in _QUERY_WORDS and len(rest.split()) >= _FEWEST_DOCUMENT_WORDS
    return (summary, rest) if lengths_fit and not _UNSTABLE.search(summary + rest) else None
