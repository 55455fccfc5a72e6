"""The rules of the house: formatting, lint, types, who may import whom, and what runs on a board."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ON_BOARD = ("nas/profiling/agent", "nas/monitor/serve")  # packages that are copied to a board without the rest
HAS = {"numpy", "PIL", "onnxruntime", "ai_edge_litert", "tflite_runtime", "zeus", "av", "cv2"}  # what a board may have


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy"],
        ["importlinter"],
    ],
    ids=["format", "lint", "types", "imports"],
)
def test_the_rules_of_the_house(command: list[str]) -> None:
    name, *arguments = command
    if name == "importlinter":  # it has no module to run
        run = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    else:
        run = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def imported(path: Path) -> set[str]:
    """What a file imports: the first part of each module's name; a relative import is its dots and name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "") if node.level else (node.module or "").partition(".")[0])
    return found


def test_what_runs_on_a_board_imports_nothing_else_of_nas() -> None:
    """It would start on the developer's machine, where nas is installed, and fail on the board."""
    files = [path for folder in ON_BOARD for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 5
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imported(path)
        if name.startswith("..") or (name[0] != "." and name not in sys.stdlib_module_names | HAS)
    }
    assert wrong == set()


def said_by(path: Path) -> list[tuple[int, str]]:
    """The texts in a file's code that are no docstrings, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return [(text.lineno, text.value) for text in texts if isinstance(text.value, str)]


def test_messages_use_one_word_for_one_thing() -> None:
    """What a value is is said with "got"; a thing "is not a run folder" rather than "is no run folder"."""
    odd = re.compile(r"\bcame\b|(?<!there )\bis no (?!longer\b|more\b)\w|\bnobody\b|\bthat is none\b")
    texts = [(path, *text) for path in (ROOT / "nas").rglob("*.py") for text in said_by(path)]
    assert len(texts) > 5000  # it looks where the messages are
    assert [f"{path.relative_to(ROOT)}:{line}: {text}" for path, line, text in texts if odd.search(text)] == []
    assert all(odd.search(text) for text in ("must be above 0; came -3", "x is no run folder"))
    assert not any(odd.search(text) for text in ("must be above 0; got -3", "there is no folder x", "is no longer"))
