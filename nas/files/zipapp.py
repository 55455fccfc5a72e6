"""A package packed as one file that Python runs, a zipapp: what boards get of nas."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

MAIN = """import sys
if sys.version_info < (3, 8):
    sys.stderr.write("{name}: this needs Python 3.8 or later; this is Python %d.%d\\n" % sys.version_info[:2])
    sys.exit(3)
from {name}.{module} import main
sys.exit(main())
"""


def packed(package: Path, module: str) -> bytes:
    """The folder `package` of plain files as a zipapp whose `main` is in `module`.

    The same bytes whenever the sources are the same. It says so where Python is older than 3.8.
    """
    name = package.name
    sources = {f"{name}/{path.name}": path.read_text(encoding="utf-8") for path in package.glob("*.py")}
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for inner, text in sorted({"__main__.py": MAIN.format(name=name, module=module), **sources}.items()):
            file.writestr(zipfile.ZipInfo(inner), text, zipfile.ZIP_DEFLATED)  # of 1980: no time of ours in it
    return content.getvalue()
