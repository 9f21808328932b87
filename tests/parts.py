"""Runs the suite in four parts at once, for two cores.

    python -m tests.parts

Tests over real sockets wait for most of their time, the others compute: two parts of
each keep both cores busy to the end.  The others are shown when the first is over.
Exit code 0 where all passed, else that of the first that did not.
"""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

WAITING = "tests/integration"
PURE = ("tests/client", "tests/core")
DYING = (
    *("test_crash.py", "test_history_file.py", "test_chat_history.py"),
    "test_operations.py",
    *("test_reconnect.py", "test_hostile.py", "test_tls.py", "test_password.py"),
    *("test_activation.py", "test_restart.py"),
    "test_browser.py",
)
"""Tests that wait for servers to end and to be there again, or for a browser."""


def parts() -> dict[str, list[str]]:
    """Return what pytest is to be told for each part."""
    dying = [f"{WAITING}/{name}" for name in DYING]
    missing = [path for path in dying if not Path(path).is_file()]
    assert not missing, f"{missing}: not there any more"
    away = [f"--ignore={path}" for path in (WAITING, *PURE)]
    return {
        "all others": ["tests", *away],
        " ".join(PURE): [*PURE],
        WAITING: [WAITING, *(f"--ignore={path}" for path in dying)],
        f"{WAITING}, where servers die": dying,
    }


def main() -> int:
    """Run all parts; return the exit code."""
    command = (sys.executable, "-m", "pytest")
    (_, here), *others = parts().items()
    with ExitStack() as stack:
        running = []
        for name, options in others:
            shown = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            process = subprocess.Popen(
                [*command, *options], stdout=shown, stderr=subprocess.STDOUT
            )
            running.append((name, stack.enter_context(process), shown))
        print("four parts at once; the first:", flush=True)
        codes = [subprocess.run([*command, *here], check=False).returncode]
        for name, process, shown in running:
            codes.append(process.wait())
            print(f"{name}:", flush=True)
            shown.seek(0)
            sys.stdout.write(shown.read())
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main())
