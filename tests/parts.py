"""Runs the suite in six parts at once, for two cores.

    python -m tests.parts

Tests over real sockets wait for most of their time, the others compute: four parts of
the one kind and two of the other keep both cores busy to the end.  The others are shown
when the first is over.  Exit code 0 where all passed, else that of the first that did
not.
"""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

WAITING = "tests/integration"
PURE = ("tests/client", "tests/core")
APART = {
    "where servers die": (
        *("test_activation.py", "test_chat_history.py", "test_crash.py"),
        *("test_history_file.py", "test_operations.py", "test_restart.py"),
    ),
    "where connections do": (
        *("test_hostile.py", "test_limits.py", "test_password.py"),
        *("test_reconnect.py", "test_tls.py", "test_web.py"),
    ),
    "clients": (
        *("test_browser.py", "test_client.py", "test_client_commands.py"),
        *("test_client_screen.py", "test_client_tls.py", "test_ws_echo.py"),
    ),
}
"""Tests over real sockets that are parts of their own; all others are one."""


def parts() -> dict[str, list[str]]:
    """Return what pytest is to be told for each part."""
    apart = {
        f"{WAITING}, {what}": [f"{WAITING}/{name}" for name in names]
        for what, names in APART.items()
    }
    named = [path for paths in apart.values() for path in paths]
    missing = [path for path in named if not Path(path).is_file()]
    assert not missing, f"{missing}: not there any more"
    away = [f"--ignore={path}" for path in (WAITING, *PURE)]
    return {
        "all others": ["tests", *away],
        " ".join(PURE): [*PURE],
        WAITING: [WAITING, *(f"--ignore={path}" for path in named)],
        **apart,
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
        print("six parts at once; the first:", flush=True)
        codes = [subprocess.run([*command, *here], check=False).returncode]
        for name, process, shown in running:
            codes.append(process.wait())
            print(f"{name}:", flush=True)
            shown.seek(0)
            sys.stdout.write(shown.read())
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main())
