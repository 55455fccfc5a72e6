"""A workaround: Ray 2.60 cannot be imported beside the package amdsmi on a machine without AMD's library."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

MODULE = 'raise ImportError("AMD\'s library is not on this machine")\n'


def hide_broken_amdsmi() -> None:
    """Makes amdsmi, which zeus brings, an ImportError where it raises anything else: Ray expects no other.

    Here, and in the processes that Ray starts from here: a module of that name comes first on their path.
    """
    try:
        with redirect_stdout(StringIO()):  # it prints advice
            import_module("amdsmi")
    except ImportError:
        return
    except Exception:
        sys.modules["amdsmi"] = None  # type: ignore[assignment]
        folder = Path(mkdtemp(prefix="nas-without-amdsmi-"))  # of this user alone: code is imported from it
        atexit.register(rmtree, folder, ignore_errors=True)
        (folder / "amdsmi.py").write_text(MODULE, encoding="utf-8")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
