"""What a board says is shown as it comes, and can do nothing to the terminal."""

from __future__ import annotations

import io

import pytest

from nas.profiling.boards.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(*parts: bytes, terminal: bool = False) -> tuple[str, list[str]]:
    """What the user sees of these parts, and the lines that are remembered."""
    output = Terminal() if terminal else io.StringIO()
    screen = Screen(output)
    for part in parts:
        screen.relay(part)
    screen.close()
    return output.getvalue(), list(screen.lines)


def test_a_terminal_gets_a_bar_that_is_written_over() -> None:
    seen, lines = shown(b"\r[#-] 1/2", b"\r[##] 2/2\n", b"done\n", terminal=True)
    assert seen == "\r[#-] 1/2\r[##] 2/2\ndone\n"
    assert lines == ["[##] 2/2", "done"]


def test_a_file_gets_whole_lines_each_as_it_stood_last() -> None:
    seen, lines = shown(b"\r[#-] 1/2", b"\r[##] 2/2\n", b"windows\r\n", b"open")
    assert seen == "[##] 2/2\nwindows\nopen\n"
    assert lines == ["[##] 2/2", "windows", "open"]


@pytest.mark.parametrize("terminal", [True, False])
def test_our_own_words_stand_on_lines_of_their_own(terminal: bool) -> None:
    output = Terminal() if terminal else io.StringIO()
    screen = Screen(output)
    screen.count("1 MB")
    screen.count("2 MB")
    screen.relay(b"open")
    screen.say("lost")
    lines = output.getvalue().split("\n")
    assert lines[1:] == ["lost", ""]
    assert lines[0].rpartition("\r")[2] == "open"
    assert ("2 MB" in lines[0]) == terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_no_control_character_reaches_the_user(terminal: bool) -> None:
    evil = "\x1b]0;title\x07\x1b[2Jclear \x9b31m\x00\x08\u202etxt\u2028\n".encode()
    seen, lines = shown(evil, b"\xff\xfe broken\n", terminal=terminal)
    assert seen == "]0;title[2Jclear 31mtxt\n\ufffd\ufffd broken\n"
    assert lines == ["]0;title[2Jclear 31mtxt", "\ufffd\ufffd broken"]


def test_a_letter_cut_in_two_is_put_together() -> None:
    assert shown("ü".encode()[:1], "ü\n".encode()[1:])[0] == "ü\n"


def test_what_is_remembered_is_bounded() -> None:
    _, lines = shown(b"x" * 100_000, b"\n" + b"line\n" * 1000)
    assert len(lines) == 20
    _, lines = shown(b"x" * 100_000)
    assert len(lines[0]) <= 500
