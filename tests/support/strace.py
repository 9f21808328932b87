"""A running server's system calls, looked at and made to fail with ``strace``."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support.server import Server


@contextmanager
def traced(
    server: Server, calls: str, *more: str, output: Path | str = "/dev/null"
) -> Iterator[None]:
    """Have ``strace`` look at these system calls of *server*."""
    command = ["strace", "-o", str(output), "-p", str(server.pid)]
    command += ["-e", f"trace={calls}", *more]
    try:
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        pytest.skip("needs strace")
    assert tracer.stderr is not None
    with tracer:
        line = tracer.stderr.readline()
        if "attached" not in line:
            tracer.wait()
            pytest.skip(f"strace cannot: {line}")
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.stderr.read()


def failing_calls(server: Server, calls: str) -> AbstractContextManager[None]:
    """Let these system calls of *server* fail as ``strace`` is told."""
    return traced(server, calls.split(":")[0], "-e", f"inject={calls}")
