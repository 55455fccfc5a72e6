"""plan.json, and the models that it lists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .terminal import Refused

FORMAT = 1
LARGEST_MODEL = 1 << 30  # bytes
LARGEST_PLAN = 64 << 20
READS_FILES = (b"location", b"EPContext")  # the key of ONNX's files of weights, the operation that loads a compiled one
RUNTIMES = ("onnxruntime", "litert")  # of a plan; the first where it names none
KINDS = ("reference", "block", "calibrate", "check")
ITEM_TEXTS = ("id", "name", "precision", "kind", "file", "sha256")
SETTINGS = {  # least, most; whole numbers but for seconds and fractions
    "runs": (1, 10_000), "most_runs": (1, 10_000), "visit_s": (0.0, 600.0), "least_rounds": (1, 1000),
    "rounds": (1, 1000), "network_factor": (1, 100), "within": (0.0, 100.0),
}  # fmt: skip


def read_plan(folder: str | Path) -> dict[str, Any]:
    """plan.json, checked: every model inside the folder, of the sha256 that the plan states. Raises Refused."""
    path = Path(folder) / "plan.json"
    try:
        if path.stat().st_size > LARGEST_PLAN:
            raise Refused(f"{path}: a plan has at most {LARGEST_PLAN} bytes")
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: is not a plan: {str(error)[:200]}") from None
    try:
        check_plan(plan)
    except Refused as refused:
        raise Refused(f"{path}: {refused}; make a new bundle") from None
    checked: dict[str, str] = {}
    for item in plan["items"]:
        name = item["file"]
        if name not in checked:
            checked[name] = hashlib.sha256(read_model(folder, name)).hexdigest()
        if checked[name] != item["sha256"]:
            raise Refused(f"{name}: is not the file that the plan was made with; make a new bundle")
    return dict(plan)


def check_plan(plan: Any) -> None:
    """Raises Refused for anything in a plan that what follows could not work with."""
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise Refused(f"this agent reads plans of format {FORMAT}")
    settings, items = plan.get("settings"), plan.get("items")
    if not isinstance(settings, dict) or not isinstance(items, list):
        raise Refused("it must have settings and items")
    for name, (least, most) in SETTINGS.items():
        check_number(f"settings.{name}", settings.get(name), least, most)
    check_number("seed", plan.get("seed"), -(2**63), 2**63)
    if plan.get("runtime", RUNTIMES[0]) not in RUNTIMES:
        raise Refused(f"this agent measures with {' or '.join(RUNTIMES)}; got {str(plan['runtime'])[:40]}")
    for number, item in enumerate(items):
        for key in ITEM_TEXTS:
            text = item.get(key) if isinstance(item, dict) else None
            if not isinstance(text, str) or not 0 < len(text) <= 400:
                raise Refused(f"items[{number}].{key} must be a text of 1 to 400 characters")
        if item["kind"] not in KINDS:
            raise Refused(f"items[{number}].kind must be one of {', '.join(KINDS)}; got {item['kind']}")
    if len({item["id"] for item in items}) < len(items):
        raise Refused("no two items may have one id")
    compared = [item["precision"] for item in items if item["kind"] == "reference"]
    others = {item["precision"] for item in items if item["kind"] != "reference"}
    if not others or not others <= set(compared) or len(set(compared)) < len(compared):
        raise Refused("it must have items to measure, and one item of the kind reference in each of their precisions")


def check_number(name: str, value: Any, least: float, most: float) -> None:
    kinds = (int, float) if isinstance(least, float) else (int,)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
        what = "number" if isinstance(least, float) else "whole number"
        raise Refused(f"{name} must be a {what} from {least} to {most}")


def read_model(folder: str | Path, name: str) -> bytes:
    """The bytes of a model inside the folder. Raises Refused, also for a model that would read other files."""
    try:
        path = (Path(folder) / name).resolve()
        if Path(folder).resolve() not in path.parents or not path.is_file():
            raise Refused(f"{name}: a model must be a file inside the bundle")
        if path.stat().st_size > LARGEST_MODEL:
            raise Refused(f"{name}: a model has at most {LARGEST_MODEL} bytes")
        content = path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name, a link to itself
        raise Refused(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if any(key in content for key in READS_FILES):
        raise Refused(f"{name}: a model must hold its weights itself")
    return content


def is_network(item: Mapping[str, Any]) -> bool:
    return item["kind"] in ("calibrate", "check")


def reference_item(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The first reference: a network to load the machine with."""
    return next(item for item in plan["items"] if item["kind"] == "reference")
