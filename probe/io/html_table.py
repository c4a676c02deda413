"""HTML tables for notebooks, and the optional pandas import."""

from collections.abc import Sequence
from typing import Any

from probe.errors import CallError

__all__ = ["import_pandas", "render_table"]

_TABLE = """<table><caption style="text-align: left; font-weight: bold">{{ title }}</caption>
<thead><tr>{% for name in header %}
<th style="text-align: {{ sides[loop.index0] }}">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}
<tr>{% for cell in row %}<td style="text-align: {{ sides[loop.index0] }}">{{ cell }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table>
<details><summary>{{ about }}</summary><ul>{% for note in notes %}
<li>{{ note }}</li>{% endfor %}</ul></details>
"""


def render_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    about: str,
    notes: Sequence[str],
    left: Sequence[bool] = (),
) -> str:
    """Return an HTML table with escaped cells and collapsible notes titled `about`.

    `left` says of every column whether it is set flush left; all are when left out.
    """
    from jinja2 import Environment

    sides = ["left" if flush else "right; white-space: nowrap" for flush in left] or ["left"] * len(header)
    table = Environment(autoescape=True).from_string(_TABLE)
    return table.render(title=title, header=header, rows=rows, sides=sides, about=about, notes=notes)


def import_pandas() -> Any:
    """Return the pandas module.

    Raises:
        CallError: If pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise CallError(f"a data frame needs pandas: pip install 'encoder-surgery[notebook]' ({error})") from error
    return pandas
