"""A training on several GPUs, a process each; on a CPU, where it is tested, the processes share its cores."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from torch import distributed, multiprocessing, nn
from torch.multiprocessing.spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from nas.errors import UserError
from nas.train.crew import Crew
from nas.train.full_recipe import FullRecipe
from nas.train.interrupt import waiting_interrupt
from nas.train.resumption import GOES_ON, SAVE_SECONDS, FullProgress, OnFullProgress, OnPlan, stopped, train_stoppably
from nas.train.training import Lesson, Training, begin
from nas.train.training_file import read_training

LEAST_IMAGES = 16  # of a batch that one process takes: batch norm wants that many
PATIENCE = timedelta(days=1)  # for the first process, which looks at the validation images alone
LOOK_S = 0.1  # between two looks at what the processes say
ERRORS: dict[str, type[Exception]] = {
    "FloatingPointError": FloatingPointError, "MemoryError": MemoryError, "UserError": UserError,
}  # fmt: skip


def processes_for(gpus: int, batch_size: int) -> int:
    """How many processes share a batch: one a GPU, but no part of fewer than 16 images."""
    return max(1, min(gpus, batch_size // LEAST_IMAGES))


def train_in_processes(
    start: Callable[[], nn.Module], lesson: Lesson, recipe: FullRecipe, file: Path, processes: int, *,
    save_seconds: float = SAVE_SECONDS, on_progress: OnFullProgress = lambda _: None, on_plan: OnPlan | None = None,
    goes_on: str = GOES_ON,
) -> Training:  # fmt: skip
    """`train_resumably` in so many processes, each on a GPU of its own, with the same file.

    Equal seeds and numbers of processes give equal weights as far as they do in one. `start` must be picklable, and the
    lesson without a teacher, who is not. Raises as `train_resumably` does, and UserError where a process is killed: the
    others end with it, as they do with this one.
    """
    context = multiprocessing.get_context("spawn")
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    said, asked = context.Queue(), context.Event()
    given = pickle.dumps((start, lesson, recipe, file, save_seconds, on_plan is not None))
    threads = max(1, torch.get_num_threads() // processes)
    arguments = (processes, threads, store.port, os.getpid(), given, said, asked)
    crew = start_processes(_work, arguments, processes, join=False, start_method="spawn")  # type: ignore[no-untyped-call]
    heard: dict[str, Callable[[Any], object]] = {"progress": on_progress, "plan": on_plan or (lambda _: None)}
    try:
        with waiting_interrupt() as interrupted:
            while not _ended(crew, said, heard):
                if interrupted():
                    asked.set()
    finally:
        for process in crew.processes:
            process.kill()
            process.join()
    state = begin(start(), recipe, lesson.train, lesson.device)
    read_training(file, state)
    return stopped(state, goes_on)


def _ended(crew: ProcessContext, said: Any, heard: dict[str, Callable[[Any], object]]) -> bool:
    """Whether all processes have ended well; tells what they said until now. Raises what one of them raised."""
    try:
        ended = crew.join(LOOK_S)
    except (ProcessRaisedException, ProcessExitedException) as error:
        _tell(said, heard)
        raise _told(crew, error) from None
    _tell(said, heard)
    return bool(ended)


def _told(crew: ProcessContext, error: ProcessRaisedException | ProcessExitedException) -> Exception:
    """The cause in one line: that of a process which was killed before those of the others, which lost it."""
    codes = {number: process.exitcode or 0 for number, process in enumerate(crew.processes)}
    if killed := [n for n, code in codes.items() if code < 0 and code != -signal.SIGTERM]:
        name = signal.Signals(-codes[killed[0]]).name
        return UserError(f"process {killed[0]} of the training was ended by {name}; {GOES_ON}")
    if isinstance(error, ProcessExitedException):
        return UserError(f"process {error.error_index} of the training ended with status {error.exit_code}; {GOES_ON}")
    line = f"process {error.error_index} of the training: {error.msg.strip().splitlines()[-1][:300]}"
    return RuntimeError(line) if "memory" in line.lower() else UserError(line)


def _tell(said: Any, heard: dict[str, Callable[[Any], object]]) -> None:
    while True:
        try:
            kind, what = said.get(timeout=LOOK_S / 10)
        except Empty:
            return
        if kind in ERRORS:
            raise ERRORS[kind](what)
        heard[kind](what)


def _work(
    rank: int, size: int, threads: int, port: int, parent: int, given: bytes, said: Any, asked: Any
) -> None:  # fmt: skip
    """One process of the training, from its beginning or from the file to the end or the interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and asks
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # else it asks for the machine's name
    torch.set_num_threads(threads)
    start, lesson, recipe, file, save_seconds, planned = pickle.loads(given)  # of the parent
    if lesson.device.type == "cuda":
        torch.cuda.set_device(rank)
        lesson = replace(lesson, device=torch.device("cuda", rank))
    store = distributed.TCPStore("127.0.0.1", port, is_master=False, wait_for_workers=False)  # type: ignore[attr-defined]
    backend = "nccl" if lesson.device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)

    def end_with_parent() -> None:
        if os.getppid() != parent:  # it was killed: what is not kept yet is lost, as with one process
            os._exit(1)

    def tell(progress: FullProgress) -> None:  # before anything is kept
        end_with_parent()
        said.put(("progress", progress))

    def interrupted() -> bool:
        end_with_parent()
        return bool(asked.is_set())

    control = distributed.new_group(backend="gloo", timeout=PATIENCE)

    try:
        train_stoppably(
            start, lesson, recipe, file, interrupted, save_seconds=save_seconds,
            on_progress=tell,
            on_plan=(lambda plan: said.put(("plan", plan))) if planned else None,
            crew=Crew(rank, size, control),  # type: ignore[arg-type]  # a number where it is not one of the group
        )  # fmt: skip
    except tuple(ERRORS.values()) as error:
        said.put((next(name for name, kind in ERRORS.items() if isinstance(error, kind)), str(error)))
        said.close()
        said.join_thread()  # it is on its way before the process ends
        raise
    distributed.destroy_process_group()
