"""Programs import and fit profiles as the verbs do; what each format reads is tested with the formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.device.info import about_toml
from nas.device.profile import read_profile
from nas.errors import UserError
from nas.profiling.build.imported import import_profile
from tests.device.formats.test_key_table import PROXYLESS
from tests.device.hand_made import about


def test_a_program_imports_a_published_table(tmp_path: Path) -> None:
    (tmp_path / "table.yaml").write_text(PROXYLESS)
    (tmp_path / "about.toml").write_text(about_toml(about()))
    count = import_profile([tmp_path / "table.yaml"], "proxylessnas", tmp_path / "new", about=tmp_path / "about.toml")
    profile = read_profile(tmp_path / "new")
    assert count == len(profile.lookup_table) == 3
    assert str(profile.about.command).startswith("nas devices import table.yaml --format proxylessnas --out ")


def test_an_option_that_the_format_does_not_take_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for form, options, message in (
        ("proxylessnas", {"rest_ms": 3.0}, "takes no --rest-ms"),
        ("onnxruntime", {}, "needs --model"),
        ("hwnasbench-fbnet", {"rest_ms": 3.0}, "needs --platform"),
        ("excel", {}, "unknown table format 'excel'"),
    ):
        with pytest.raises(UserError, match=message):
            import_profile([tmp_path / "absent"], form, tmp_path / "new", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
