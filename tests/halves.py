"""Runs the suite as two halves at once, one on each of two cores.

    python -m tests.halves

Tests over real sockets wait for most of their time, the others compute; so the two
together take little longer than the longer one.  The second half is shown when the
first is over.  Exit code 0 where both passed, else that of the first that did not.
"""

import subprocess
import sys
import tempfile

WAITING = ("tests/integration",)
COMPUTING = ("tests", *(f"--ignore={path}" for path in WAITING))


def main() -> int:
    """Run both halves; return the exit code."""
    command = (sys.executable, "-m", "pytest")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as shown:
        with subprocess.Popen(
            [*command, *WAITING], stdout=shown, stderr=subprocess.STDOUT
        ) as waiting:
            print("two halves at once: tests/integration, and all others:", flush=True)
            first = subprocess.run([*command, *COMPUTING], check=False).returncode
            print("tests/integration:", flush=True)
        shown.seek(0)
        sys.stdout.write(shown.read())
    return first or waiting.returncode


if __name__ == "__main__":
    sys.exit(main())
