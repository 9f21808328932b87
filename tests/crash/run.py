"""Kills and cuts for as long as one likes, and prints what came of it.

    python -m tests.crash.run [--kills 100] [--proxy 300] [--seed N] ...

Six parts: SIGKILL at random moments under load; SIGKILL at each step around a commit
and a sending; the same while an operator gives orders; the same while the client that
users run speaks; the same at calls of the kernel, by ``strace`` where there is one; a
proxy that cuts connections.  Exit code 0 where every promise was kept, else 1; then the
records and the files of what went wrong are left where it says.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.crash import scenes
from tests.crash.victims import Nursery

CALLS = ("pwrite64", "fdatasync", "sendto", "epoll_wait", "unlink", "ftruncate")
"""Calls of the kernel that are around a commit and a sending."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; return the exit code."""
    options = _parser().parse_args(argv)
    seed: int = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    print(f"{'seed':15} {seed}", flush=True)
    total = scenes.Figures(runs=0)
    failed = False
    for name, scene in _scenes(options, folder, seed):
        print(f"\n{name}", flush=True)
        try:
            figures = scene()
        except AssertionError as error:
            failed = True
            print(f"FAILED: {error}", flush=True)
            continue
        print(*figures.lines(), sep="\n", flush=True)
        if figures.verdict.violations:
            failed = True
            print(figures.verdict, flush=True)
        total.add(figures)
    print("\nin all")
    print(*total.lines(), f"{'seed':15} {seed}", sep="\n")
    if failed:
        print(f"\nBROKEN; see {folder}, and play it again with --seed {seed}")
        return 1
    shutil.rmtree(folder)
    print("\nevery promise was kept")
    return 0


def _scenes(
    options: argparse.Namespace, folder: Path, seed: int
) -> list[tuple[str, Callable[[], scenes.Figures]]]:
    found: list[tuple[str, Callable[[], scenes.Figures]]] = []
    if options.kills:
        place = folder / "kills"
        place.mkdir()
        found.append(
            (
                f"{options.kills} kills at random moments under load",
                lambda: scenes.random_kills(place, options.kills, seed, tell=_tell),
            )
        )
    if options.lines:
        found.append(
            (
                f"a kill at every step of a script of {options.lines} texts",
                lambda: _steps(folder / "steps", options.lines),
            )
        )
        found.append(
            (
                "a kill at every step while an operator gives orders",
                lambda: _orders(folder / "orders"),
            )
        )
        found.append(
            (
                "a kill at every step while bin/chat-client speaks",
                lambda: _deaths(folder / "deaths"),
            )
        )
    if options.lines and options.stride:
        if shutil.which("strace") is None:
            print("no strace here: no kills at calls of the kernel", flush=True)
        else:
            found.append(
                (
                    f"a kill at calls of the kernel ({', '.join(CALLS)})",
                    # A step takes ten times as long here, and texts repeat soon.
                    lambda: _calls(
                        folder / "calls", max(1, options.lines // 2), options.stride
                    ),
                )
            )
    if options.proxy:
        for name, kill_every in (("proxy", 0.0), ("both", 5.0)):
            there = folder / name
            there.mkdir()
            share = options.proxy if not kill_every else max(10.0, options.proxy / 10)
            also = " while the server is killed every 5 s" if kill_every else ""
            found.append(
                (
                    f"{share:g} s of connections cut after 0.1 to 2 s{also}",
                    lambda there=there, share=share, kill_every=kill_every: (  # type: ignore[misc]
                        scenes.cutting(
                            there, share, seed, kill_every=kill_every, tell=_tell
                        )
                    ),
                )
            )
    return found


def _steps(folder: Path, lines: int) -> scenes.Figures:
    total = scenes.Figures(runs=0)
    with Nursery() as nursery:
        for window in (1, 4):
            place = folder / f"window-{window}"
            total.add(
                scenes.every_step(
                    place, nursery, lines=lines, window=window, tell=_tell
                )
            )
    return total


def _orders(folder: Path) -> scenes.Figures:
    with Nursery() as nursery:
        return scenes.orders_at_every_step(folder, nursery)


def _deaths(folder: Path) -> scenes.Figures:
    with Nursery() as nursery:
        plans = scenes.step_by_step()
        return scenes.user_deaths(folder, nursery, plans, tell=_tell)


def _calls(folder: Path, lines: int, stride: int) -> scenes.Figures:
    total = scenes.Figures(runs=0)
    for call in CALLS:
        total.add(
            scenes.every_call(folder, call, lines=lines, stride=stride, tell=_tell)
        )
    return total


_started = time.monotonic()


def _tell(text: str) -> None:
    print(
        f"  {time.monotonic() - _started:5.0f} s: {text}", file=sys.stderr, flush=True
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crash-test",
        description="Kill the server and cut its connections; nothing may be lost.",
        allow_abbrev=False,
    )
    for name, default, text in (
        ("--kills", 100, "kills at random moments; 0: none"),
        ("--lines", 20, "texts of the script that is run for every step; 0: none"),
        ("--stride", 1, "every so many calls of the kernel are tried; 0: none"),
        ("--proxy", 300, "seconds of cut connections; 0: none"),
        ("--seed", 0, "what is random begins with this; 0: something new"),
    ):
        text += f" (default: {default})"
        parser.add_argument(name, type=int, default=default, metavar="N", help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
