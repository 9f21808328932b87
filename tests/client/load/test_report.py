"""Percentiles against a slow and simple telling of themselves; what a report says."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.load import report
from chatroom.client.load.report import Result

FIGURES = st.lists(st.floats(1e-7, 500.0), min_size=1, max_size=200).map(sorted)


def oracle(figures: Sequence[float], percent: float) -> float:
    """The least figure such that at least so many percent are not above it."""
    for figure in sorted(figures):
        below = sum(other <= figure for other in figures)
        if below * 1000 >= round(percent * 10) * len(figures):
            return figure
    raise AssertionError("never")


@given(FIGURES, st.sampled_from([50.0, 90.0, 99.0, 99.9, 100.0]))
def test_percentile_is_what_the_oracle_says(
    figures: list[float], percent: float
) -> None:
    """For any figures, few or many, equal or not."""
    assert report.percentile(figures, percent) == oracle(figures, percent)


def test_percentile_of_nothing_is_an_error() -> None:
    """There is no number that would be honest."""
    with pytest.raises(ValueError, match="no figures"):
        report.percentile([], 50.0)


@given(FIGURES)
def test_histogram_counts_every_figure_once(figures: list[float]) -> None:
    """Its percentages add up, and each bar stands for the figures below its name."""
    lines = report.histogram(figures)
    shares = [float(line.split("%")[0].split()[-1]) for line in lines]
    assert sum(shares) == pytest.approx(100.0, abs=0.01 * len(lines))
    assert max(line.count("#") for line in lines) == report.BAR


def test_histogram_has_a_line_for_each_step_between() -> None:
    """Steps in which there is nothing are shown too, or one would misread the rest."""
    lines = report.histogram([0.0015, 0.0018, 0.00199, 0.012])
    assert lines == [
        "    < 2 ms  75.00 % " + 40 * "#",
        "    < 5 ms   0.00 %",
        "   < 10 ms   0.00 %",
        "   < 20 ms  25.00 % " + 14 * "#",
    ]


def test_histogram_of_nothing_is_empty() -> None:
    """As where a scenario takes no latencies."""
    assert report.histogram([]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0000125, "12.5 us"), (0.0025, "2.5 ms"), (1.0, "1 s"), (12.34, "12.3 s")],
)
def test_times_are_readable(value: float, text: str) -> None:
    """Three digits and the unit that fits."""
    assert report.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12 bytes"), (2048, "2.0 KiB"), (3 << 20, "3.0 MiB")]
)
def test_sizes_are_readable(value: float, text: str) -> None:
    """The largest unit that leaves a digit before the point."""
    assert report.size(value) == text


def result(**given: object) -> Result:
    """Make the result of a run that has measured everything."""
    values: dict[str, object] = {
        "seconds": 2.0,
        "messages": 100,
        "deliveries": 1000,
        "server_cpu": 0.5,
        "memory_empty": 20 << 20,
        "memory_joined": (20 << 20) + 15_000,
        "own_cpu": 0.4,
        "latency": [0.001, 0.002, 0.003],
        "late": [0.0001],
    }
    made = Result("steady", 10, 2, 1, 64)
    for name, value in (values | given).items():
        setattr(made, name, value)
    return made


def test_figures_follow_from_what_was_measured() -> None:
    """Rates for the second, for the CPU second, for the client."""
    made = result()
    assert made.per_cpu_second == 2000.0
    assert made.memory_per_client == 1500.0
    assert made.server_share == 0.25
    assert made.own_share == 0.2


@pytest.mark.parametrize(
    ("own", "server", "expected"),
    [(1.9, 1.0, True), (1.9, 1.95, False), (1.0, 0.5, False), (1.9, None, True)],
)
def test_warns_when_the_tool_was_the_bottleneck(
    own: float, server: float | None, expected: bool
) -> None:
    """Over nine tenths of a core, and more than the server."""
    made = result(own_cpu=own, server_cpu=server)
    assert made.was_bottleneck is expected
    assert any("bottleneck" in line for line in report.lines(made)) is expected


def test_report_leaves_out_what_could_not_be_measured() -> None:
    """A server elsewhere, and nothing said: no line with nothing in it."""
    made = result(
        messages=0, server_cpu=None, memory_empty=None, latency=[], late=[], own_cpu=0.0
    )
    words = {line.split()[0] for line in report.lines(made)}
    assert words == {"steady:", "checked", "joined", "this"}


def test_report_has_the_figures() -> None:
    """Each in the line in which one looks for it."""
    text = "\n".join(report.lines(result(cut_off=3, pings=4, leave_seconds=0.5)))
    for words in (
        "500 deliveries/s, 50 messages/s",
        "2,000 deliveries a CPU second",
        "1.5 KiB a client, beyond the 20.0 MiB",
        "this tool   20 % of a core",
        "p50 2 ms, p90 3 ms, p99 3 ms, p99.9 3 ms, max 3 ms",
        "3 slow readers",
        "4 answered",
        "left        in 500 ms",
    ):
        assert words in text


def test_json_has_plain_values() -> None:
    """What a script reads: numbers, not texts."""
    value = json.loads(json.dumps(report.to_json(result())))
    assert value["deliveries_per_cpu_second"] == 2000.0
    assert value["latency"]["p99"] == 0.003
    assert value["latency"]["count"] == 3
    assert value["late"]["max"] == 0.0001
    assert report.to_json(result(latency=[]))["latency"] is None
