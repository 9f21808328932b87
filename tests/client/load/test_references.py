"""The servers of the benchmark pass every check, or a comparison would mean nothing."""

import json
import sys

import pytest

from chatroom.client.load.app import main


@pytest.mark.parametrize("name", ["bare", "streams", "threads"])
def test_reference_is_right(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Five clients, all talking, several messages under way."""
    command = f"{sys.executable} -m tests.bench.references.{name}"
    argv = ["--scenario", "flat-out", "--clients", "5", "--talkers", "5"]
    argv += ["--in-flight", "16", "--messages", "300", "--server", command]
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deliveries"] == 1500
