"""The token bucket, against one that counts tokens."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.server.rate import Bucket

TICK = Fraction(1, 64)
"""Times and rates are such that no float is rounded."""


class Oracle:
    """Tokens that drop in by and by; taking may go into debt."""

    def __init__(self, rate: int, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens = Fraction(burst)
        self.at: Fraction | None = None

    def see(self, now: Fraction) -> Fraction:
        """Return how many tokens there are at *now*."""
        if self.at is not None:
            gained = (now - self.at) * self.rate
            self.tokens = min(Fraction(self.burst), self.tokens + gained)
        self.at = now
        return self.tokens


takes = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 5)), min_size=1, max_size=60
)


@given(st.sampled_from([1, 2, 8, 32]), st.integers(1, 50), takes)
def test_against_one_that_counts(
    rate: int, burst: int, taken: list[tuple[int, int]]
) -> None:
    bucket, oracle = Bucket(rate, burst), Oracle(rate, burst)
    mark, now = 0.0, Fraction(1000)
    for ticks, tokens in taken:
        now += ticks * TICK
        allowed = bucket.ready_at(mark) <= float(now)
        assert allowed == (oracle.see(now) >= 1)
        if allowed:
            mark = bucket.charge(mark, tokens, float(now))
            oracle.tokens -= tokens
        else:
            # It says when there will be a whole token.
            missing = (1 - oracle.tokens) / rate
            assert bucket.ready_at(mark) == float(now + missing)


@given(
    st.sampled_from([1, 2, 8, 32]),
    st.integers(1, 50),
    st.sampled_from([1, 4, 16, 64]),
    st.integers(1, 50),
    st.integers(0, 80),
    st.integers(0, 200),
)
def test_with_another_rate_as_many_tokens_are_missing(
    rate: int, burst: int, new_rate: int, new_burst: int, taken: int, ticks: int
) -> None:
    """But no debt: whoever has to wait, waits for one token, at the new rate."""
    old, new = Bucket(rate, burst), Bucket(new_rate, new_burst)
    mark = old.charge(0.0, taken, 1000.0)
    now = 1000.0 + ticks / 64
    missing = max(0, taken - ticks * rate / 64)
    carried = new.carry(mark, now, old)
    assert (carried - now) * new_rate == min(missing, new_burst)
    assert new.ready_at(carried) <= now + 1 / new_rate


def test_a_rate_that_is_turned_on_begins_with_a_full_bucket() -> None:
    off, on = Bucket(0, 50), Bucket(10, 50)
    assert on.carry(0.0, 1000.0, off) == 1000.0
    assert off.carry(on.charge(0.0, 50, 1000.0), 1000.0, on) == 1000.0


@given(st.floats(0.5, 1000), st.integers(1, 100), st.integers(1, 1000))
def test_over_a_long_time_the_rate_is_kept(
    rate: float, burst: int, frames: int
) -> None:
    bucket, mark, now = Bucket(rate, burst), 0.0, 1000.0
    for _ in range(frames):
        now = max(now, bucket.ready_at(mark))
        mark = bucket.charge(mark, 1, now)
    late = max(0, frames - burst) / rate
    assert now == pytest.approx(1000.0 + late, abs=1e-6 * frames)


@pytest.mark.parametrize(("rate", "burst"), [(0, 50), (10, 0), (0, 0)])
def test_no_limit(rate: float, burst: float) -> None:
    assert not Bucket(rate, burst).limited
    assert Bucket(10, 50).limited
