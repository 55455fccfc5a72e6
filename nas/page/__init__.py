"""One style for pages: a self-contained HTML document, light and dark, for a desk and a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{lead}</p>
</header>
<main>
{body}
</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: numbers stand to the right."""

    head: str
    number: bool = True


def house_css() -> str:
    """The style of every page."""
    return (files("nas.page") / "house.css").read_text("utf-8")


def document(title: str, lead: str, body: Markup) -> str:
    """A page that needs no other file and no script."""
    from markupsafe import Markup

    return str(Markup(_DOCUMENT).format(title=title, css=Markup(house_css()), lead=lead, body=body))


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[str | Markup]]) -> Markup:
    """A table whose first column names the row; it scrolls by itself where the screen is narrower."""
    from markupsafe import Markup

    kinds = [Markup(' class="n"') if column.number else "" for column in columns]
    heads = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(kind, column.head)
        for kind, column in zip(kinds, columns, strict=True)
    )
    lines = Markup("\n").join(_row(row, kinds) for row in rows)
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="{0}"><table><caption class="unseen">{0}</caption>'
        "<thead><tr>{1}</tr></thead>\n<tbody>{2}</tbody></table></div>"
    ).format(caption, heads, lines)


def _row(cells: Sequence[str | Markup], kinds: Sequence[str | Markup]) -> Markup:
    from markupsafe import Markup

    first = Markup('<th scope="row">{}</th>').format(cells[0])
    rest = (Markup("<td{}>{}</td>").format(kind, cell) for kind, cell in zip(kinds[1:], cells[1:], strict=True))
    return Markup("<tr>{}{}</tr>").format(first, Markup("").join(rest))


def bar(share: float, text: str) -> Markup:
    """A figure over a bar of such a share of the cell."""
    from markupsafe import Markup

    return Markup('{}<span class="bar" style="width: {:.1f}%"></span>').format(text, 100 * min(max(share, 0.0), 1.0))


def bullets(lines: Iterable[str]) -> Markup:
    """A list; nothing where it is empty."""
    from markupsafe import Markup

    items = [Markup("<li>{}</li>").format(line) for line in lines]
    return Markup("<ul>{}</ul>").format(Markup("").join(items)) if items else Markup("")
