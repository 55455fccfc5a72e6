"""What a deployed detector's boxes are worth beyond their mAP, and some pictures with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Annotated, Literal

from pydantic import Field

from nas.files.toml import Table
from nas.numbers import percent
from nas.page.boxes import colors_of
from nas.run.average_precision import DIGITS, MOST_CLASSES, SIZES, AveragePrecision
from nas.run.pictures import Box, Picture

FOUND = "found.jpg"  # of a version: some test pictures, with what its first model finds
LIKELY = 0.4  # probability of the boxes that are drawn there, as run.py draws them
GAP = 6  # pixels between pictures

Share = Annotated[float, Field(ge=0, le=1)]
OfClass = Share | Literal["none"]  # none: there is no such object among the images


class Detected(Table):
    """Average precisions of one file, as `nas.run.average_precision` has them; None and "none": no such objects.

    Classes are in the order of preprocess.json's; none are kept where there are more than a thousand.
    """

    ap75: Share
    small: Share | None = None
    medium: Share | None = None
    large: Share | None = None
    classes: Annotated[list[OfClass], Field(max_length=MOST_CLASSES)] = []  # mAP
    classes_ap50: Annotated[list[OfClass], Field(max_length=MOST_CLASSES)] = []

    @property
    def of_sizes(self) -> dict[str, float | None]:
        return dict(zip(SIZES, (self.small, self.medium, self.large), strict=True))


def detected_of(counted: AveragePrecision) -> Detected:
    """What was counted, as a card keeps it beside mAP and AP50."""
    kept = len(counted.of_classes) <= MOST_CLASSES

    def listed(values: Sequence[float | None]) -> list[OfClass]:
        return ["none" if v is None else round(v, DIGITS) for v in values] if kept else []

    return Detected(
        ap75=counted.at_75, small=counted.small, medium=counted.medium, large=counted.large,
        classes=listed(counted.of_classes), classes_ap50=listed(counted.at_50_of_classes),
    )  # fmt: skip


def share_text(value: OfClass | None) -> str:
    """A precision as a percentage; none where there is no such object."""
    return percent(value) if isinstance(value, float | int) else "none"


def by_size(found: Mapping[str, Detected]) -> list[tuple[str, ...]]:
    """A row of each file, by its name: AP75, and mAP of small, medium and large objects."""
    return [
        (name, percent(one.ap75), *(share_text(v) for v in one.of_sizes.values())) for name, one in found.items()
    ]  # fmt: skip


def by_class(found: Mapping[str, Detected], classes: Sequence[str]) -> list[tuple[str, ...]]:
    """A row of each class: mAP and AP50 of each file, `12.3% / 45.6%`. Empty where they were not kept."""
    if any(not len(one.classes) == len(one.classes_ap50) == len(classes) for one in found.values()):
        return []
    return [
        (name, *(
            "none" if one.classes[place] == "none" else
            f"{share_text(one.classes[place])} / {share_text(one.classes_ap50[place])}" for one in found.values()
        ))
        for place, name in enumerate(classes)
    ]  # fmt: skip


def drawn(pictures: Sequence[Picture], boxes: Sequence[Sequence[Box]], classes: Sequence[str]) -> bytes:
    """Pictures side by side, two in a row, as one JPEG: what is there thin and white, what was found in its color."""
    from base64 import b64decode

    from PIL import Image, ImageDraw

    colors, side = colors_of(classes), max((p.side for p in pictures), default=1)
    rows = -(-len(pictures) // 2)
    sheet = Image.new("RGB", (2 * side + GAP, max(1, rows * side + (rows - 1) * GAP)), "white")
    for place, (picture, found) in enumerate(zip(pictures, boxes, strict=True)):
        with Image.open(BytesIO(b64decode("".join(picture.jpeg))), formats=("JPEG",)) as opened:
            image = opened.convert("RGB")
        pen = ImageDraw.Draw(image)
        for _, *corners, _ in picture.objects:
            pen.rectangle([picture.side * float(v) for v in corners], outline="white")
        for name, p, *corners in reversed([box for box in found if box[1] >= LIKELY]):
            x1, y1, x2, y2 = (picture.side * float(v) for v in corners)
            pen.rectangle((x1, y1, x2, y2), outline=colors.get(name, "white"), width=2)
            pen.text((x1 + 3, y1 + 1), f"{name[:40]} {p:.0%}", colors.get(name, "white"), stroke_width=1,
                     stroke_fill="black")  # fmt: skip
        sheet.paste(image, ((place % 2) * (side + GAP), (place // 2) * (side + GAP)))
    packed = BytesIO()
    sheet.save(packed, "JPEG", quality=85)
    return packed.getvalue()
