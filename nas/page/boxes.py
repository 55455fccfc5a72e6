"""Pictures with boxes as SVG within a page: what is there dashed, what was found in the color of its class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.numbers import percent

if TYPE_CHECKING:
    from markupsafe import Markup

COLORS = ("#f26b1d", "#2f9be8", "#13b987", "#e586bd", "#f0b400", "#7fd0ff", "#f4ea5a")  # on photographs, by class
LIKELY = 0.3  # probability of the boxes that are shown at first
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture with its name in the page, its data URI and size in pixels, and the objects that are there."""

    name: str
    uri: str
    width: int
    height: int
    objects: Sequence[tuple[str, Corners, bool]]  # class, box, whether it is a crowd


def colors_of(classes: Iterable[str]) -> dict[str, str]:
    """A color for each class, the same in every picture of a page."""
    return {name: COLORS[place % len(COLORS)] for place, name in enumerate(dict.fromkeys(classes))}


def picture_sources(pictures: Iterable[Drawn]) -> Markup:
    """The pictures themselves, once in a page, however many networks' boxes are drawn over them."""
    from markupsafe import Markup

    images = [
        Markup('<image id="{}" href="{}" width="{}" height="{}"/>').format(p.name, p.uri, p.width, p.height)
        for p in pictures
    ]
    return Markup('<svg width="0" height="0" class="unseen" aria-hidden="true"><defs>{}</defs></svg>').format(
        Markup("").join(images)
    )


def picture_with_boxes(
    picture: Drawn, found: Sequence[tuple[str, float, Corners]], colors: Mapping[str, str]
) -> Markup:  # fmt: skip
    """A figure of what was found in a picture: class, probability and box each, the most probable first.

    Those of a probability below `LIKELY` are there, and of the class "faint".
    """
    from markupsafe import Markup

    there = [
        Markup('<rect class="there" {}><title>{}</title></rect>').format(
            _rect(box), f"there: {name}{', a crowd' * crowd}"
        )
        for name, box, crowd in picture.objects
    ]
    size = round(max(picture.width, picture.height) / 26, 1)  # of text, in the picture's pixels
    boxes = [
        Markup('<g data-p="{}"{}><rect {} stroke="{}"/><text x="{}" y="{}">{}</text></g>').format(
            f"{p:.3f}", Markup(' class="faint"') if p < LIKELY else "", _rect(box), colors.get(name, COLORS[0]),
            f"{box[0] + 2:.1f}", f"{max(box[1] - 2, size):.1f}", f"{name[:40]} {100 * p:.0f}",
        )
        for name, p, box in reversed(found)  # the most probable on top
    ]  # fmt: skip
    likely = [f"{name} {percent(p, 0)}" for name, p, _ in found if p >= LIKELY]
    said = f"{len(picture.objects)} objects there; found: {', '.join(likely[:20]) or 'nothing likely'}"
    return Markup(
        '<svg class="boxes" viewBox="0 0 {} {}" role="img" aria-label="{}" font-size="{}"><use href="#{}"/>{}{}</svg>'
    ).format(picture.width, picture.height, said, size, picture.name, Markup("").join(there), Markup("").join(boxes))


def _rect(box: Corners) -> Markup:
    from markupsafe import Markup

    x1, y1, x2, y2 = box
    return Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"').format(
        x1, y1, max(0.0, x2 - x1), max(0.0, y2 - y1)
    )
