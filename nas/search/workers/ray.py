"""Training by Ray: on the processors of this machine, or on a cluster."""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nas.errors import UserError
from nas.estimate.estimator import Estimator
from nas.search.halving import EarlyStopping
from nas.search.workers.amdsmi import hide_broken_amdsmi
from nas.search.workers.workers import Cluster, Done, Job, train

hide_broken_amdsmi()
# isort: split
import ray  # noqa: E402
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

ANSWER_S = 10.0
RETRIES = 3  # of a training whose worker or node died
LOOK_S = 1.0  # between two looks whether Ray is still there
# Ray ends this process without a word 15 s after its node here died, a minute after its head did; a head may return
PATIENCE_S = {"node on this machine": 2.0, "head": 30.0}

T = TypeVar("T")
R = TypeVar("R")

_estimators: dict[str, Estimator] = {}  # of this worker process: unpacked once


class RayWorkers:
    """Each training is a Ray task with its own processors. The estimator, with its dataset, is sent once.

    A task whose worker or node dies is run again by Ray; the search hears of it once, when it has ended. When Ray
    itself dies, `wait` says so while there is time.
    """

    def __init__(self, estimator: Estimator, stopping: EarlyStopping | None, cluster: Cluster) -> None:
        """Starts Ray here, or joins the cluster. Raises UserError when it cannot, or too little is there."""
        self.cluster, self.running = cluster, dict[Any, Job]()
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        if cluster.address is not None:
            _require_there(cluster.address)
        try:
            if cluster.address is None:
                wanted = max(1, math.ceil((cluster.workers or 1) * cluster.cpus))
                ray.init(
                    "local", num_cpus=wanted, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
                )
            else:
                ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # a node that does not start within Ray's patience is a plain Exception
            where = f"be reached at {cluster.address}" if cluster.address else "be started on this machine"
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise UserError(f"Ray cannot {where}: {said}") from None
        try:
            self.capacity = self._capacity()
            self.services = _services(cluster.address or "")
            self.estimator = ray.put(estimator)
            self.stopping: Any = None
            if stopping is not None:
                here = NodeAffinitySchedulingStrategy(
                    ray.get_runtime_context().get_node_id(), soft=False
                )  # ends with us
                actor = ray.remote(EarlyStopping).options(num_cpus=0, scheduling_strategy=here)
                self.stopping = actor.remote(stopping.epochs)
                for number, curve in stopping.curves.items():
                    self.stopping.add.remote(number, curve, stopping.costs[number])
        except BaseException:
            ray.shutdown()
            raise

    def _capacity(self) -> int:
        has: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        wanted = {"CPU": self.cluster.cpus, "GPU": self.cluster.gpus}
        fits = [int(has.get(name, 0) / each + 1e-9) for name, each in wanted.items() if each]
        if not fits or min(fits) < 1:
            raise UserError(
                f"a trial needs {self.cluster.cpus:g} processors and {self.cluster.gpus:g} GPUs; Ray has "
                f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}"
            )
        return min(fits) if self.cluster.workers is None else min(self.cluster.workers, *fits)

    def free(self) -> int:
        return self.capacity - len(self.running)

    def submit(self, job: Job) -> None:
        task = _train.options(
            num_cpus=self.cluster.cpus, num_gpus=self.cluster.gpus, max_retries=RETRIES, name=f"proposal {job.number}"
        )
        self.running[task.remote([self.estimator], job, self.stopping, self.cluster.cpus)] = job

    def wait(self) -> Done:
        """The next job that has ended. Raises UserError when Ray's head or its node on this machine has died."""
        try:
            ready: list[Any] = []
            while not ready:
                ready = ray.wait(list(self.running), num_returns=1, timeout=LOOK_S)[0]
                self._require_alive()
            found = self._result(ready[0], self.running[ready[0]])
        except ConnectionError as error:  # of a Ray that is spoken to from outside its cluster
            raise _lost(f"Ray ({str(error)[:100]})") from None
        del self.running[ready[0]]
        if found.estimate is None and self.stopping is not None:
            self.stopping.forget.remote(found.number)
        return found

    def _result(self, task: Any, job: Job) -> Done:
        while True:
            try:
                found: Done = ray.get(task, timeout=LOOK_S)
                return found
            except GetTimeoutError:  # what a dead node held cannot be fetched
                self._require_alive()
            except RayTaskError as error:  # a fault in the code or in what the user gave, not in the training
                if isinstance(error.cause, UserError):
                    raise UserError(str(error.cause)) from None
                raise error.as_instanceof_cause() from None  # type: ignore[no-untyped-call]
            except RayError as error:
                self._require_alive()
                return Done(job.number, None, f"its worker died {RETRIES + 1} times: {str(error).splitlines()[0]}")

    def _require_alive(self) -> None:
        """Returns when all of Ray answers. Raises UserError for a part that is silent for longer than its patience."""
        begun = time.monotonic()
        while silent := [name for name, place in self.services.items() if not _answers(*place)]:
            for name in silent:
                if time.monotonic() - begun > PATIENCE_S[name]:
                    self.services.clear()
                    raise _lost(f"Ray's {name}")
            time.sleep(LOOK_S / 4)

    def close(self) -> None:
        """Ends what runs here and on the cluster; a Ray that was started here ends too."""
        if all(_answers(*place) for place in self.services.values()):
            for task in self.running:
                ray.cancel(task, force=True)
        ray.shutdown()


def _lost(what: str) -> UserError:
    return UserError(f"{what} has died; every trial that had ended is kept, and --resume goes on")


def _services(address: str) -> dict[str, tuple[str, int]]:
    """Host and port of Ray's head and of its node on this machine; none where Ray is spoken to from outside."""
    if address.startswith("ray://"):
        return {}
    context = ray.get_runtime_context()
    own = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())  # type: ignore[no-untyped-call]
    host, _, port = context.gcs_address.rpartition(":")
    return {
        "head": (host, int(port)),
        "node on this machine": (own["NodeManagerAddress"], int(own["NodeManagerPort"])),
    }


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except OSError:
        return False
    return True


def _require_there(address: str) -> None:
    """Raises UserError where nothing answers at host:port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():  # "auto", or another word of Ray's
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise UserError(f"Ray cannot be reached at {address}: {error.strerror or error}") from None


@ray.remote
def _train(estimator: list[Any], job: Job, stopping: Any, cpus: float) -> Done:
    import torch

    torch.set_num_threads(max(1, int(cpus)))
    key = estimator[0].hex()
    if key not in _estimators:
        _estimators.clear()
        _estimators[key] = ray.get(estimator[0])

    def stops(number: int, epoch: int, accuracy: float, costs: tuple[float, ...]) -> bool:
        try:
            return bool(ray.get(stopping.report.remote(number, epoch, accuracy, costs)))
        except RayActorError:
            return False  # the search is ending

    return train(_estimators[key], job, stops if stopping is not None else None)


def mapped(workers: int) -> Callable[[Callable[[T], R], Sequence[T]], list[R]]:
    """A function's results for many values, in their order, computed by so many processes of this machine at once.

    What it returns raises UserError when Ray cannot start or a process died, and what the function raises.
    """

    def run(function: Callable[[T], R], values: Sequence[T]) -> list[R]:
        try:
            ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False,
                     logging_level=logging.ERROR)  # fmt: skip
            task = ray.remote(_alone).options(num_cpus=1, max_retries=RETRIES)
            return list(ray.get([task.remote(function, value) for value in values]))
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from None
            raise error.as_instanceof_cause() from None  # type: ignore[no-untyped-call]
        except (RayError, ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(f"Ray cannot train on this machine: {str(error)[:200]}") from None
        finally:
            ray.shutdown()

    return run


def _alone(function: Callable[[Any], Any], value: Any) -> Any:
    import torch

    torch.set_num_threads(1)
    return function(value)
