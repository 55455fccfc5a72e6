"""What verifications found of detectors beyond their mAP, as parts of the page: by size and class, and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nas.deploy.detected import by_class, by_size
from nas.page import Column, table
from nas.page.boxes import Drawn, colors_of, picture_sources, picture_with_boxes
from nas.run.average_precision import SIZES
from nas.run.pictures import Box, Picture

if TYPE_CHECKING:
    from markupsafe import Markup

    from nas.deploy.verified import Verified, VerifiedModel

FEW = 20  # classes: a longer table is folded


def detected_parts(
    rows: Sequence[tuple[str, VerifiedModel]], found: Mapping[int, Verified], place: int
) -> list[Markup]:  # fmt: skip
    """AP75, sizes and classes of each variant, then pictures; nothing of classifiers. `place`: of the section."""
    from markupsafe import Markup

    known = {name: model.detected for name, model in rows if model.detected is not None}
    if not known:
        return []
    first = next(iter(found.values()))
    sizes = table("Average precision by overlap and size", [
        Column("variant", number=False), Column("AP75"), *(Column(f"mAP, {size}") for size in SIZES),
    ], by_size(known))  # fmt: skip
    parts = [_titled("Average precision by overlap and size", sizes)]
    if classes := by_class(known, first.classes):
        heads = [Column("mAP / AP50", number=False), *(Column(name) for name in known)]
        named = table("Average precision by class", heads, classes)
        if len(classes) > FEW:
            named = Markup("<details><summary>{} classes</summary>{}</details>").format(len(classes), named)
        parts.append(_titled("Average precision by class", named))
    return parts + _pictures(first, rows, place)


def _pictures(first: Verified, rows: Sequence[tuple[str, VerifiedModel]], place: int) -> list[Markup]:
    """What each variant finds in the images that were kept: those of the first version, which all of them saw."""
    from markupsafe import Markup

    own = [(name, model) for name, model in rows if model.boxes and len(model.boxes) == len(first.samples)]
    if not own:
        return []
    drawn = [
        Drawn(f"section-{place}-{n}", p.uri, p.width, p.height, [
            (name, _pixels(p, corners), crowd) for name, *corners, crowd in p.objects
        ])
        for n, p in enumerate(first.samples)
    ]  # fmt: skip
    colors = colors_of([*first.classes, *(box[0] for _, model in own for boxes in model.boxes for box in boxes)])
    figures = [
        Markup('<h4>{}</h4><div class="samples">{}</div>').format(name, Markup("").join(
            picture_with_boxes(d, [_in_pixels(p, box) for box in boxes], colors)
            for d, p, boxes in zip(drawn, first.samples, model.boxes, strict=True)
        ))
        for name, model in own
    ]  # fmt: skip
    said = "Dashed: what is there. Solid: what the file finds, with its probability in percent, from 30% on."
    sources = Markup('<p class="soft">{}</p>{}').format(said, picture_sources(drawn))
    return [_titled("What they find", sources), *figures]


def _in_pixels(picture: Picture, box: Box) -> tuple[str, float, tuple[float, float, float, float]]:
    name, p, *corners = box
    return name, p, _pixels(picture, corners)


def _pixels(picture: Picture, corners: Sequence[float | str]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (picture.side * float(v) for v in corners)
    return x1, y1, x2, y2


def _titled(title: str, part: Markup) -> Markup:
    from markupsafe import Markup

    return Markup("<h3>{}</h3>\n{}").format(title, part)
