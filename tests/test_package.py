"""The wheel: its name, its types, and that its search spaces and device profiles are found where it is installed."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import nas
from nas.catalog import names, shipped

ROOT = Path(__file__).resolve().parents[1]
LIST = """
import json
from importlib.metadata import version
from pathlib import Path
import nas
from nas.catalog import names
found = {"spaces": names("search_spaces", ".toml"), "devices": names("device_profiles"),
         "targets": names("device/support", ".toml")}
said = {kind: {name: str(path) for name, path in entries.items()} for kind, entries in found.items()}
said["versions"] = [nas.__version__, version("edge-nas")]
said["typed"] = Path(nas.__file__).with_name("py.typed").is_file()
print(json.dumps(said))
"""


def test_a_wheel_installed_elsewhere_lists_what_ships(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "elsewhere")
    python = tmp_path / "elsewhere" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "-q", "--no-deps", str(wheel)], check=True, cwd=tmp_path)
    said = subprocess.run(
        [python, "-c", LIST], check=True, capture_output=True, text=True, cwd=tmp_path, env={"NAS_HOME": str(tmp_path)}
    )
    found = json.loads(said.stdout)
    assert wheel.name == f"edge_nas-{nas.__version__}-py3-none-any.whl"  # `nas` is another project's on the index
    assert found["versions"] == [nas.__version__, nas.__version__]
    assert found["typed"]  # type checkers read the package's annotations only with py.typed
    for kind, folder, ending in (
        ("spaces", "search_spaces", ".toml"),
        ("devices", "device_profiles", ""),
        ("targets", "device/support", ".toml"),
    ):
        here = names(folder, ending)
        ours = {name for name, path in here.items() if path.is_relative_to(shipped(folder))}
        assert ours
        assert set(found[kind]) == ours
        assert all("elsewhere" in path for path in found[kind].values())
