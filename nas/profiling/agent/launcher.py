"""`python agent.pyz launch`: starts the agent with the arguments in arguments.json beside it.

It stops the agent when standard input ends: ssh has no way to stop a program when the connection is lost, and that end
always comes. Where it comes late (a cable pulled out), the next launcher stops the agent that is left: two at once
would disturb each other's timings.

Exit status: the agent's; 128 + N where signal N ended it; 4 where another agent runs that cannot be stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

PATIENCE_S = 10.0  # for the run of a model that is under way when the agent is asked to stop


def send_signal(group: int, number: int) -> None:
    """Sends a signal to a process group, if it is there still."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def lock(path: Path) -> IO[str]:
    """The lock that an agent holds as long as it lives; an agent that holds it already is stopped first."""
    file = path.open("a+", encoding="ascii")
    start = time.monotonic()
    asked = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            waited = time.monotonic() - start
        if waited > 2 * PATIENCE_S:
            print(f"agent: another agent measures in {path.parent} and cannot be stopped", file=sys.stderr)
            sys.exit(4)
        file.seek(0)
        group = file.read()  # empty while the other is being started
        if group.isdigit() and (not asked or waited > PATIENCE_S):
            send_signal(int(group), signal.SIGKILL if asked else signal.SIGINT)
            asked = True
        time.sleep(0.1)


def stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    """Waits for the end of standard input, then asks the agent to stop, then makes it."""
    while os.read(0, 4096):
        pass
    send_signal(child.pid, signal.SIGINT)
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        send_signal(child.pid, signal.SIGKILL)


def main() -> int:
    agent = Path(sys.argv[0]).resolve()
    folder = agent.parent
    arguments = json.loads((folder / "arguments.json").read_text(encoding="utf-8"))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an ssh server that was started to ignore it would hand that down
    with lock(folder / "agent.lock") as held:
        held.truncate(0)
        # Unbuffered, so that its words stay in order. Its own group, so that what it starts is stopped with it. The
        # lock stays with it when this file closes here.
        child = subprocess.Popen(
            [sys.executable, "-u", agent.name, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            pass_fds=[held.fileno()],
            start_new_session=True,
        )
        held.write(str(child.pid))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: send_signal(child.pid, signal.SIGINT))
    threading.Thread(target=stop_at_end_of_input, args=[child], daemon=True).start()
    status = child.wait()
    if status < 0:
        hint = " (out of memory?)" if status == -signal.SIGKILL else ""
        print(f"agent: ended by signal {-status}{hint}", file=sys.stderr)
        return 128 - status
    return status
