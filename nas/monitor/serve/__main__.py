"""Serves the version in use of a deployment folder, and watches it.

    python3 serve.pyz FOLDER --camera 0            frames of a camera, the newest one first
    python3 serve.pyz FOLDER --video clip.mp4      of a video, at its own rate
    python3 serve.pyz FOLDER --images pictures     every picture in a folder
    grab | python3 serve.pyz FOLDER --stdin        pictures, each after its length in 4 bytes (highest first)
    python3 serve.pyz FOLDER --use 3               puts version 3 into use; one that serves takes it up
    python3 serve.pyz FOLDER --back                puts the version into use that was before

One line a result: class and probability, or objects by class (how many, the surest's probability), and milliseconds of
the network alone. What happened is noted in FOLDER/monitor.
Exit status: 0 done, 1 a camera ended, 2 what was given is wrong, 3 something must be installed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Sequence

from .terminal import Refused, say

try:
    import numpy  # noqa: F401
    import PIL  # noqa: F401
except ImportError as missing:
    say(f"{missing}; pip install -r versions/N/requirements.txt")
    sys.exit(3)

from .drawn import MOST_DRAWN
from .endpoint import Endpoint, address_of
from .frames import Source, of_camera, of_images, of_stdin, of_video
from .loop import Serving
from .metrics import Asked
from .objects import CERTAIN
from .options import Options
from .versions import back, use

MOST_THREADS, MOST_KEPT = 1024, 10_000


LATENCY_HELP = """of the network: the models of the folder that have the same classes are loaded
together, four at most, and the most accurate that keeps it serves"""


def parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="serve.pyz", description=summary, epilog=rest, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("folder", type=Path, metavar="FOLDER", help="the deployment folder")
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", metavar="N", help="a camera's number, device or URL")
    source.add_argument("--video", metavar="FILE", help="a video's file")
    source.add_argument("--images", type=Path, metavar="DIR", help="a folder of pictures")
    source.add_argument("--stdin", action="store_true", help="pictures on standard input, each after its length")
    source.add_argument("--use", type=int, metavar="N", help="serve nothing: put version N into use")
    source.add_argument("--back", action="store_true", help="serve nothing: go back to the version before")
    made.add_argument("--raw", metavar="WxH", help="with --stdin: raw RGB frames of that size")
    made.add_argument("--fps", type=float, help="of a video or pictures: frames a second, as from a camera")
    made.add_argument("--every-frame", action="store_true", help="serve every frame, as fast as they are served")
    made.add_argument("--deadline-ms", type=float, metavar="MS", help="a result later than this after capture is late")
    made.add_argument("--max-latency", type=float, metavar="MS", help=LATENCY_HELP)
    made.add_argument("--top", type=int, default=1, metavar="K", help="classes to name (default: 1)")
    made.add_argument(
        "--least", type=float, metavar="P", help=f"of a detector: the least probability of an object ({CERTAIN})"
    )
    made.add_argument(
        "--draw",
        type=Path,
        metavar="DIR",
        help=f"of a detector: write frames with boxes there, the newest {MOST_DRAWN}",
    )
    made.add_argument("--drawn", type=int, metavar="N", help="with --draw: write the newest N instead")
    made.add_argument("--precision", help="the model to use, where there are several (default: the first of them)")
    made.add_argument("--threads", type=int, help="threads that the network runs on")
    made.add_argument("--json", action="store_true", help="print one JSON object a line")
    made.add_argument(
        "--keep", type=int, default=0, metavar="N", help="keep at most N frames of alarms (default: none)"
    )
    made.add_argument(
        "--no-return", action="store_true", help="keep to a version that proves worse than the one before"
    )
    made.add_argument(
        "--http", metavar="PORT", help="answer /health, /metrics and POST /classify (/detect) on this machine"
    )
    made.add_argument("--http-anywhere", action="store_true", help="with --http HOST:PORT: other machines too")
    made.add_argument("--quiet", action="store_true", help="print no results")
    return made


def options_of(given: argparse.Namespace) -> Options:
    """Raises Refused for a value that cannot be."""
    for name, value in (
        ("--fps", given.fps), ("--deadline-ms", given.deadline_ms), ("--max-latency", given.max_latency),
    ):  # fmt: skip
        if value is not None and not 0 < value < math.inf:
            raise Refused(f"{name} must be above 0; got {value}")
    if given.top < 1:
        raise Refused(f"--top must be 1 or more; got {given.top}")
    if given.threads is not None and not 1 <= given.threads <= MOST_THREADS:
        raise Refused(f"--threads must be 1 to {MOST_THREADS}; got {given.threads}")
    if not 0 <= given.keep <= MOST_KEPT:
        raise Refused(f"--keep must be 0 to {MOST_KEPT}; got {given.keep}")
    if given.least is not None and not 0 < given.least < 1:
        raise Refused(f"--least must be between 0 and 1; got {given.least}")
    if given.drawn is not None and (given.draw is None or not 1 <= given.drawn <= MOST_KEPT):
        raise Refused(f"--drawn goes with --draw and must be 1 to {MOST_KEPT}; got {given.drawn}")
    if given.precision and given.max_latency:
        raise Refused("--max-latency chooses among the precisions: leave --precision out")
    if given.raw and not given.stdin:
        raise Refused("--raw goes with --stdin")
    if given.fps and given.every_frame:
        raise Refused("--fps skips frames as a camera does; --every-frame skips none: give one of them")
    if given.fps and (given.stdin or given.camera):
        raise Refused("--fps is for --images and --video: a camera or another program has its own rate")
    every = given.every_frame or (given.images is not None and not given.fps)
    return Options(
        every=every, fps=given.fps, deadline_ms=given.deadline_ms, top=given.top, as_json=given.json,
        quiet=given.quiet, keep=given.keep, automatic_return=not given.no_return, precision=given.precision,
        threads=given.threads, max_latency_ms=given.max_latency, least=given.least, draw=given.draw,
        drawn=given.drawn or MOST_DRAWN,
    )  # fmt: skip


def source_of(given: argparse.Namespace, serving: Serving) -> Source:
    """Raises Refused where it cannot be opened."""
    if given.camera is not None:
        return of_camera(given.camera)
    if given.video is not None:
        return of_video(given.video)
    if given.images is not None:
        return of_images(given.images, serving.model.program.is_picture)
    return of_stdin(given.raw)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    given = parser().parse_args(arguments)
    try:
        if given.back or given.use is not None:
            version = back(given.folder) if given.back else use(given.folder, given.use)
            print(f"version {version} is in use")
            return 0
        serving = Serving(given.folder, options_of(given))
        try:
            source = source_of(given, serving)
            endpoint = (
                Endpoint(Asked(serving), *address_of(given.http), anywhere=given.http_anywhere) if given.http else None
            )
        except BaseException:
            serving.journal.close()
            raise
        try:
            return serving.run(source)
        finally:
            if endpoint is not None:
                endpoint.close()
    except Refused as refused:
        say(str(refused))
        return refused.status
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
