"""The tables of blocks as Once-for-All, ProxylessNAS and DynamicOFA publish them, in YAML or JSON: one block a key, its
mean and count below it.

    expanded_conv-input:56x56x24-output:56x56x24-expand:6-kernel:3-stride:1-idskip:1:
      count: 421
      mean: 11.09

YAML is read event by event and never built as objects: no aliases, no tags, nothing deeper than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nas.errors import UserError
from nas.files.csv import Row
from nas.files.json import parse_json
from nas.files.plain import MB, read_text

SUFFIXES = (".yaml", ".yml", ".json")
MOST_BYTES = 1 * MB  # ten times the largest table that is published


def read_key_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Each block with its line, as the rows of the CSV forms. Raises UserError for anything but such a table."""
    for line, key, figures in (_json_entries if path.suffix.lower() == ".json" else _entries)(path):
        if missing := {"count", "mean"} - figures.keys():
            raise UserError(f"{path}: line {line}: {key[:80]!r} needs count and mean; missing {min(missing)}")
        yield line, _row(key, path, line) | {"count": figures["count"], "mean_ms": figures["mean"]}


def _row(key: str, path: Path, line: int) -> Row:
    op, *parts = key.split("-")
    named = dict(part.split(":", 1) for part in parts if ":" in part)
    row = {"op": op, "hs": "", "se": "", "idskip": "", "expand": "", "kernel": "", "stride": ""}
    for side, name in (("in", "input"), ("out", "output")):
        sizes = named.pop(name, "").split("x")
        if len(sizes) not in (1, 3) or not sizes[0]:
            raise UserError(f"{path}: line {line}: {key[:80]!r} must give its {name} as 56x56x24")
        height, width, channels = sizes if len(sizes) == 3 else ("1", "1", sizes[0])
        row |= {f"{side}_h": height, f"{side}_w": width, f"{side}_c": channels}
    return row | named


def _json_entries(path: Path) -> Iterator[tuple[int, str, dict[str, str]]]:
    text = read_text(path, MOST_BYTES, "JSON")
    table = parse_json(text, str(path))
    if not isinstance(table, dict):
        raise UserError(f"{path}: must be an object of blocks, each with count and mean; got {str(table)[:80]}")
    at = 0
    line = 1
    for key, figures in table.items():
        if (found := text.find(f'"{key}"', at)) >= 0:
            line, at = line + text.count("\n", at, found), found
        if not isinstance(figures, dict):
            raise UserError(f"{path}: line {line}: {key[:80]!r} must have count and mean; got {str(figures)[:80]}")
        yield line, key, {name: str(figure) for name, figure in figures.items() if name in ("count", "mean")}


def _entries(path: Path) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Each key of the outer mapping with its line and the plain values below it."""
    import yaml  # late: listing the devices needs none

    def refuse(event: yaml.Event) -> UserError:
        kind = type(event).__name__.removesuffix("Event").lower()
        line = event.start_mark.line + 1
        return UserError(f"{path}: line {line} must be a block's key with count and mean below it; got a {kind}")

    depth, key, at = 0, "", 0
    inner: list[str] = []
    try:
        for event in yaml.parse(read_text(path, MOST_BYTES, "YAML"), Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise UserError(f"{path}: line {event.start_mark.line + 1}: aliases, anchors and tags are not read")
            if isinstance(event, yaml.MappingStartEvent):
                if depth == 2 or (depth == 1 and not key):
                    raise refuse(event)
                depth += 1
            elif isinstance(event, yaml.MappingEndEvent):
                depth -= 1
                if depth == 1:
                    yield at, key, dict(zip(inner[::2], inner[1::2], strict=True))
                    key, inner = "", []
            elif isinstance(event, yaml.ScalarEvent):
                if depth == 2:
                    inner.append(event.value)
                elif depth == 1 and not key:
                    key, at = event.value, event.start_mark.line + 1
                else:
                    raise refuse(event)
            elif isinstance(event, yaml.SequenceStartEvent):
                raise refuse(event)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not a readable YAML file: {' '.join(str(error).split())[:200]}") from None
