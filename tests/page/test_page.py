"""Pages: whole documents that take what a user wrote for text."""

from __future__ import annotations

from html.parser import HTMLParser

from markupsafe import Markup

from nas.page import Column, bar, bullets, document, house_css, table


class _Tags(HTMLParser):
    """Whether every element that is opened is closed, in order; the text of the cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "li"):
            self.cells.append(data)


def test_a_page_is_whole_and_takes_names_for_text() -> None:
    rows = [["<script>alert(1)</script>", bar(0.25, "3 ms")], ["b", "-"]]
    body = table("Costs & more", [Column("variant", number=False), Column("p50")], rows) + bullets(["a <b>"])
    page = document("<i>", "lead & more", body)
    found = _Tags(page)
    assert found.open == [] and found.cells == [
        "variant", "p50", "<script>alert(1)</script>", "3 ms", "b", "-", "a <b>",
    ]  # fmt: skip
    assert "<script" not in page and "<i>" not in page and "width: 25.0%" in page and "://" not in page
    assert "prefers-color-scheme: dark" in house_css() and 'name="viewport"' in page


def test_a_bar_stays_within_its_cell_and_an_empty_list_is_nothing() -> None:
    assert "width: 100.0%" in bar(7.0, "x") and "width: 0.0%" in bar(-1.0, "x")
    assert bullets([]) == Markup("")
