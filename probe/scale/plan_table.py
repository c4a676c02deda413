"""Rendering of a plan with short numbers: 13.2M, 6.8 GB, 9.6 h."""

from rich import box
from rich.table import Table
from rich.text import Text

from probe.scale.plan import Plan

__all__ = ["brief", "duration", "plan_lines", "plan_table", "size"]

# Minimum number of seconds for adding the time in hours.
_LONG = 2 * 86_400
_STEP = 1000
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
# Units with their length in seconds and the minimum time they are used for, longest first.
_SPANS = (
    (2 * 365 * 86_400, 365 * 86_400, "years"),
    (2 * 86_400, 86_400, "days"),
    (3600, 3600, "h"),
    (60, 60, "min"),
    (0, 1, "s"),
)


def plan_table(plan: Plan) -> Table:
    """Return a table with the cost of each layer alone."""
    title = Text(f"{plan.model.name}: {plan.work.texts:,} texts of {plan.work.tokens_per_text} tokens")
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("layer", "cut here", "FLOP/token", "FLOP/text", "total FLOP", "time alone"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in plan.rows:
        counts = (row.parameters, row.flops_per_token, row.flops_per_text, row.flops)
        table.add_row(str(row.layer) if row.layer else "emb", *map(brief, counts), duration(row.seconds))
    return table


def plan_lines(plan: Plan) -> list[str]:
    """Return the lines under the table."""
    return [
        _tokens_line(plan),
        _rate_line(plan),
        _sweep_line(plan),
        *_store_lines(plan),
        "cut here: parameters, FLOP and time of a model cut after the layer. FLOP are those of the matrix "
        "products: 2 x weights + 4 x tokens x width of the heads, per token and block, without tokenization, padding, "
        "embedding lookups and disk access",
    ]


def _tokens_line(plan: Plan) -> str:
    work, longest = plan.work, plan.model.max_tokens
    line = f"tokens: {brief(work.tokens)} in total, {work.tokens_per_text} per text"
    if work.tokens_asked is None:
        return f"{line}, the model's maximum: pass your mean length with --tokens-per-text"
    if work.tokens_asked > longest:
        return f"{line}: the model truncates texts at {longest} tokens ({work.tokens_asked} requested)"
    return line


def _rate_line(plan: Plan) -> str:
    rate, model = plan.rate, plan.model
    line = f"rate: {brief(rate.flops_per_second, ' ')}FLOP/s"
    if rate.seconds is None:
        return f"{line}, as given"
    threads = "" if rate.threads is None else f" with {rate.threads} thread{'s' * (rate.threads > 1)}"
    on = f"{model.dtype} on {model.device}{threads}"
    return f"{line}, measured here: {rate.texts:,} texts in {rate.seconds:.1f} s, {on}"


def _sweep_line(plan: Plan) -> str:
    sweep, count = plan.sweep, len(plan.rows)
    hours = f" ({sweep.seconds / 3600:,.0f} h)" if sweep.seconds > _LONG else ""
    line = f"time: {duration(sweep.seconds)} on one device{hours}"
    if count == 1:
        return line
    return f"{line} for {count} layers in one pass; one pass per layer: {duration(sweep.seconds_one_by_one)}"


def _store_lines(plan: Plan) -> list[str]:
    store, search = plan.store, plan.search
    return [
        f"store: {size(store.bytes_per_hookpoint)} per hookpoint with {plan.model.width} dimensions in float16, "
        f"{size(store.bytes)} for {store.hookpoints}, in {store.files:,} files",
        f"exact search: one query reads {size(search.bytes_stored)} from the store; the vectors take "
        f"{size(search.bytes_float32)} of memory as float32; {brief(search.flops, ' ')}FLOP",
    ]


def brief(number: float, gap: str = "") -> str:
    """Return a non-negative number with three digits and a decimal prefix after the gap: `13.2M`."""
    power = 0
    while _round(number) >= _STEP and power < len(_PREFIXES) - 1:
        number, power = number / _STEP, power + 1
    return f"{_digits(_round(number))}{gap}{_PREFIXES[power]}"


def size(count: float) -> str:
    """Return a number of bytes: `6.81 GB`."""
    return f"{brief(count, ' ')}B"


def duration(seconds: float) -> str:
    """Return a time in a suitable unit: `9.60 h`."""
    length, unit = next((length, unit) for least, length, unit in _SPANS if seconds >= least)
    return f"{_digits(_round(seconds / length))} {unit}"


def _round(number: float) -> float:
    """Return a number with three significant digits; larger ones rounded to an integer."""
    return float(f"{number:.3g}") if number < _STEP else float(round(number))


def _digits(number: float) -> str:
    if number == int(number):
        return f"{number:,.0f}"
    return f"{number:.{2 if number < 10 else 1}f}"
