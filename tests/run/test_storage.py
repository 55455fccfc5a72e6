"""Database URLs: what is harmless is shown, what may be secret is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UserError
from nas.run import public_url, read_storage
from nas.run.storage import without_secrets


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("postgresql://h/db?user=u&password=P", "postgresql://h/db"),
        ("postgresql://u:P@h:5432/db", "postgresql://u@h:5432/db"),
        ("mysql+pymysql://u:P%2F%40@h/db?charset=utf8&ssl_key=/k", "mysql+pymysql://u@h/db"),
        ("postgresql://:P@h/db", "postgresql://h/db"),
        ("redis://[::1]:6379/0?token=P", "redis://[::1]:6379/0"),
        ("sqlite:////data/all trials.db?mode=rw", "sqlite:////data/all trials.db"),
    ],
)
def test_passwords_and_options_are_left_out(url: str, public: str) -> None:
    assert public_url(url) == public
    assert read_storage(url).public == public and read_storage(url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "hunter2", "postgres:hunter2@h/db", "postgresql://u:hunter2/x@h/db", "postgresql://u:1/hunter2@h/db",
        "postgresql://u:a@hunter2@h/db", "postgresql://u:hunter2 @h/db", "sqlite+pysqlcipher://:hunter2@/file.db",
        "postgresql://u:hunter2?x@h/db", "postgresql://h/db#hunter2", "postgresql://h/hunter2@x",
        "x" * 3000 + "hunter2",
    ],
)  # fmt: skip
def test_what_cannot_be_taken_apart_is_refused_and_not_shown(url: str) -> None:
    for take in (public_url, read_storage):
        with pytest.raises(UserError, match="--storage must be a database's URL") as refused:
            take(url)
        assert "hunter2" not in str(refused.value) and len(str(refused.value)) < 400


def test_a_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_STORAGE_PASSWORD", "p@ss/word")
    storage = read_storage("postgresql://bob@h/db")
    assert storage.url == "postgresql://bob:p%40ss%2Fword@h/db" and storage.public == "postgresql://bob@h/db"
    assert not storage.hides("p@ss/word is wrong") and not storage.hides("p%40ss%2Fword") and storage.hides("no route")
    assert read_storage("postgresql://bob:own@h/db").url == "postgresql://bob:own@h/db"
    assert "word" not in repr(storage)


def test_a_file_of_sqlite_means_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_storage("sqlite:///trials.db").public == f"sqlite:///{tmp_path}/trials.db"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("extra argument (postgresql://u:P@h/db)", "extra argument (postgresql://u@h/db)"),
        ("postgresql:/u:P@h/db is not a folder", "postgresql:/u@h/db is not a folder"),
        ("--storage=mysql://h/db?user=u&password=P", "--storage=mysql://h/db"),
        ("x://h/db?password=P&mail=a@b", "x://h@b"), ("x://u:P?y@h", "x://u@h"), ("x://u:P", "x://u"),
        ("https://h:80/a, folder:/a/b@c:d and pi@board:/home", "https://h:80/a, folder:/a/b@c:d and pi@board:/home"),
    ],
)  # fmt: skip
def test_a_url_in_a_text_is_shown_without_its_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_a_message_with_a_decoded_password_is_not_shown() -> None:
    for url in ("postgresql://u:a%20b@h/db", "postgresql://h/db?password=a%20b"):
        assert not read_storage(url).hides("wrong password: a b") and not read_storage(url).hides("a%20b")
