"""Everything that a report consists of, written into the run folder, or for several runs into a folder of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from nas.errors import UserError, require, unknown
from nas.files.atomic import check_files
from nas.report.charts import draw_front, draw_fronts
from nas.report.groups import groups_of
from nas.report.markdown import compare_markdown, markdown
from nas.run import Run, columns_for, csv_bytes, front_summary, make_folder, read_curves, row_of, write_atomic

FORMATS = ("html", "csv", "json", "md", "png")
PAGES = ("html", "md", "png")  # of one run, where nobody asks for others
OUTPUTS = ("report.html", "report.md", "front.png", "front.csv", "front.json", "curves.csv")
CURVES = "curves"  # only if asked for


def write_report(run: Run, formats: Sequence[str] = PAGES) -> list[Path]:
    """Writes report.html, report.md, front.png, front.csv and front.json, those of `formats`; returns their paths.

    Format `curves` is curves.csv: a row an epoch of every training. The files that a search writes stay as they are:
    one may be running.

    Raises UserError for a format that there is not, and on a full disk.
    """
    check_formats(formats)
    check_files(run.path, OUTPUTS)
    texts = {}  # made before anything is written: a file that cannot be read is found here
    if "md" in formats:
        texts["report.md"] = markdown(run)
    if "csv" in formats:
        texts["front.csv"] = csv_bytes(columns_for(run.settings), map(row_of, run.front_trials)).decode()
    if "json" in formats:
        texts["front.json"] = (
            json.dumps(front_summary(run.settings, run.trials, run.proposals, run.rank_quality), indent=1) + "\n"
        )
    if CURVES in formats:
        texts["curves.csv"] = _curves(run)
    if "html" in formats:
        from nas.report.page import page

        texts["report.html"] = page(run)
    written = [draw_front(run)] if "png" in formats else []
    return written + [_write(run.path / name, text) for name, text in texts.items()]


def _curves(run: Run) -> str:
    every = read_curves(run.path)
    names = list(dict.fromkeys(name for curve in every.values() for epoch in curve for name in epoch))
    rows = (
        {"trial": trial, "epoch": n} | {name: epoch.get(name, math.nan) for name in names}
        for trial, curve in every.items() for n, epoch in enumerate(curve, 1)
    )  # fmt: skip
    return csv_bytes(("trial", "epoch", *names), rows).decode()


def write_comparison(runs: Sequence[Run], folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes comparison.html, .csv, .json, .md and .png, those of `formats`. Raises UserError as `write_report`."""
    from nas.report.compare import compare_csv
    from nas.report.page import compare_page

    check_formats(formats)
    if CURVES in formats:
        raise UserError(f"format {CURVES} is for one run; got {len(runs)}")
    make = {"html": compare_page, "csv": compare_csv, "json": _json, "md": compare_markdown}
    texts = {f: make[f](runs) for f in FORMATS if f in formats and f in make}
    make_folder(folder)
    check_files(folder, [f"comparison.{f}" for f in formats])
    written = [_write(folder / f"comparison.{f}", text) for f, text in texts.items()]
    if "png" in formats:
        written.append(draw_fronts(groups_of(runs), folder / "comparison.png"))
    return written


def check_formats(formats: Sequence[str]) -> None:
    """Raises UserError for a format that there is not, and where there is none."""
    require("formats", formats, (list, tuple), "a list of names")
    if not formats:
        raise UserError(f"name at least one format: {', '.join((*FORMATS, CURVES))}")
    if odd := [f for f in formats if f not in (*FORMATS, CURVES)]:
        raise unknown("format", odd[0], (*FORMATS, CURVES))


def _write(file: Path, text: str) -> Path:
    write_atomic(file, text.encode())
    return file


def _json(runs: Sequence[Run]) -> str:
    from nas.report.compare import compare_json

    return json.dumps(compare_json(runs), indent=1) + "\n"
