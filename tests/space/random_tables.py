"""Search spaces drawn at random: every key of a stage table, in every combination that is legal."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from pydantic import ValidationError

from nas.space.block import KINDS
from nas.space.search_space import SearchSpace
from nas.space.stage import BODY
from nas.space.stage_table import StageTable

ACTIVATIONS = ["", "relu", "relu6", "hswish", "swish"]
OPTIONS: dict[str, list[Any]] = {  # of each key of a stage that a kind of block can use
    "kernel": [1, 3, 5], "expand": [1, 1.05, 2, 0.5, 3], "se": [0, 0.25, 0.3, 1, 0.01],
}  # fmt: skip
PLAIN: dict[str, list[Any]] = {
    "se_of": ["expanded", "input"], "gate": ["sigmoid", "hsigmoid"], "groups": [1, 2, 4], "stride": [1, 2],
    "activation": ACTIVATIONS, "norm": [True, False],
}  # fmt: skip


@st.composite
def spaces(draw: st.DrawFn, *, most_stages: int = 3, most_depth: int = 3) -> SearchSpace:
    """A legal search space, of small networks for small images."""

    def some(options: list[Any]) -> Any:
        """One of the options, or a choice of a few."""
        found = draw(st.lists(st.sampled_from(options), min_size=1, max_size=2, unique=True))
        return found[0] if len(found) == 1 and draw(st.booleans()) else found

    def op() -> dict[str, Any]:
        block = draw(st.sampled_from([*BODY, "skip"]))
        if block == "skip":
            return {"block": "skip"}
        uses = KINDS[block].uses
        found = {"block": block, "kernel": draw(st.sampled_from(OPTIONS["kernel"]))}
        if "expand" in uses:
            found["expand"] = draw(st.sampled_from(OPTIONS["expand"]))
        if "groups" in uses:
            found["groups"] = draw(st.sampled_from(PLAIN["groups"]))
        if draw(st.booleans()):
            found["activation"] = draw(st.sampled_from(ACTIVATIONS))
        return found

    ops = {f"op{number}": op() for number in range(draw(st.integers(1, 3)))}

    def stage(number: int) -> dict[str, Any]:
        block = draw(st.sampled_from([*BODY, "ops"]))
        uses = {"stride", "activation"} if block == "ops" else KINDS[block].uses
        found: dict[str, Any] = {
            "block": block, "scale": draw(st.sampled_from(["always", "never", "up"])),
            "per": draw(st.sampled_from(["block", "stage"])),
        }  # fmt: skip
        if block == "ops":
            found["op"] = draw(st.lists(st.sampled_from(sorted(ops)), min_size=1, unique=True))
        skips = any(ops[name]["block"] == "skip" for name in found.get("op", []))
        depths, channels = list(range(1, most_depth + 1)), [8, 16, 24, 8, 5]
        found["depth"] = draw(st.sampled_from(depths)) if skips else some(depths)
        found["channels"] = draw(st.sampled_from(channels)) if skips else some(channels)
        if draw(st.booleans()):
            found["name"] = f"part-{number}"
        found |= {key: some(options) for key, options in OPTIONS.items() if key in uses}
        found |= {key: draw(st.sampled_from(options)) for key, options in PLAIN.items() if key in uses}
        if number == 0 and found.get("groups", 1) > 1:
            found["groups"] = 1  # an image's three channels do not split
        return found

    count = draw(st.integers(1, most_stages))
    stages = [stage(number) for number in range(count)]
    ending = draw(st.sampled_from(["classifier", "pool and linear", "detector"]))
    if ending == "detector":
        taps = {count - 1, *draw(st.lists(st.integers(0, count - 1), max_size=2))}
        for number in taps:
            stages[number]["tap"] = True
            if isinstance(stages[number]["channels"], list):
                stages[number]["channels"] = stages[number]["channels"][:1]
        head = {"block": draw(st.sampled_from(["ssdlite", "anchor_free"])), "per": "stage"}
        least = draw(st.integers(1, len(taps)))
        head["depth"] = [*range(least, len(taps) + 1)] if least < len(taps) or draw(st.booleans()) else len(taps)
        head |= {key: some(options) for key, options in OPTIONS.items() if key in KINDS[head["block"]].uses}
        stages.append(head | {"activation": draw(st.sampled_from(ACTIVATIONS))})
    elif ending == "pool and linear":
        after = [stage(number + 10) for number in range(draw(st.integers(0, 2)))]
        stages += [{"block": "pool"}, *after, {"block": "linear"}]
    else:
        stages.append({"block": "pool_linear"})
    table = {
        "name": "drawn", "title": "drawn", "source": "a test", "classes": draw(st.integers(1, 4)),
        "resolution": some([1, 2, 5, 8]), "width": some([1, 0.5, 1.1, 2]), "ops": ops, "stage": stages,
        "precision": draw(st.sampled_from([["fp32"], ["fp32", "int8"], ["fp16"]])),
    }  # fmt: skip
    if draw(st.booleans()):
        table["hyperparameters"] = draw(st.sampled_from([
            {"learning_rate": {"low": 0.01, "high": 1.0, "log": True}},
            {"weight_decay": {"low": 0.0, "high": 2.0, "integer": True}, "optimizer": ["sgd", "adamw"]},
            {"label_smoothing": [0.0, 0.1], "augmentation": ["none"]},
        ]))  # fmt: skip
    if draw(st.booleans()):
        table["proxy"] = {"epochs": 2, "batch_size": 8, "data_share": 0.5, "resolution_share": 0.5}
    try:
        return SearchSpace(StageTable.model_validate(table), "0" * 64)
    except ValidationError as error:  # groups that do not split the channels
        assume("groups" not in str(error))
        raise
