"""What a model file of a version is, in a few words: a variant in a table of several."""

from __future__ import annotations

from nas.deploy.card import Card
from nas.runtimes.runtime import TITLES, Form, parts_of

DONE = {"prune": "pruned", "low-rank": "factorized", "share": "shared parameters", "qat": "QAT"}  # by a step's name


def named(form: Form) -> str:
    """A model in words: its precision, and LiteRT where it is for that."""
    precision, runtime = parts_of(form)
    return precision if runtime == "onnxruntime" else f"{precision} {TITLES[runtime]}"


def changes(card: Card) -> list[str]:
    """What was done to the network after its training, a word a step, in order."""
    return list(dict.fromkeys(DONE[name] for step in card.steps if (name := step.partition(":")[0]) in DONE))


def variant(card: Card, form: Form) -> str:
    """The precision, the runtime, and how int8 was made; "int8 LiteRT, QAT", "int8, static, 2 blocks in float"."""
    precision, words = parts_of(form)[0], [named(form)]
    if precision == "int8":
        recipe, steps = card.recipe, " ".join(card.steps)
        words.append("dynamic" if recipe.get("int8_scheme") == "dynamic" else "QAT" if "QAT" in steps else "static")
        if blocks := len(str(recipe.get("int8_float_blocks", "")).split()):
            words.append(f"{blocks} block{'s' * (blocks > 1)} in float")
    return ", ".join(dict.fromkeys([*words, *(word for word in changes(card) if word != "QAT")]))
