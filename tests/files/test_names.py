"""Names from files: what may become the name of a file or folder."""

from __future__ import annotations

import pytest

from nas.files.names import safe_name


@pytest.mark.parametrize("name", ["a", "tiny", "mobilenet-v3", "Pi_4.1", "7", "x" * 64])
def test_a_plain_name_is_taken(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../evil", "a/b", "a\\b", "/etc", ".hidden", "-rf", "a b", "a\n", "é", "\x1b[2J", "x" * 65]
)
def test_what_leads_elsewhere_or_confuses_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must have 1 to 64 letters") as refusal:
        safe_name(name)
    assert "\x1b" not in str(refusal.value)
