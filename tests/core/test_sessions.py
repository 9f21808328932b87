"""Sessions: who can come back, and for how long."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core import sessions as module
from chatroom.core.sessions import (
    MAX_ENDED_SESSIONS,
    SESSION_LIFETIME,
    Peer,
    Session,
    Sessions,
    digest,
)


def begun(known: Sessions, token: str, *, secure: bool = False) -> Session:
    """Add a session of that token."""
    session = Session(digest(token), token, token, secure=secure)
    known.add(session)
    return session


def test_a_session_is_found_by_its_token_and_by_nothing_else() -> None:
    known = Sessions()
    session = begun(known, "secret")
    assert known.find("secret", 0.0, secure=False) is session
    for token in ("", "Secret", "secret ", session.digest.hex(), "\ud800"):
        assert known.find(token, 0.0, secure=False) is None


@pytest.mark.parametrize("secure", [True, False])
def test_it_is_found_only_over_the_kind_of_connection_it_began_on(secure: bool) -> None:
    known = Sessions()
    session = begun(known, "secret", secure=secure)
    assert known.find("secret", 0.0, secure=secure) is session
    assert known.find("secret", 0.0, secure=not secure) is None


def test_the_token_itself_is_not_kept() -> None:
    assert digest("secret") == sha256(b"secret").digest()
    assert len(digest("\ud800 anything")) == 32


def test_it_can_be_resumed_for_an_hour_after_its_connection() -> None:
    assert SESSION_LIFETIME == 3600
    for later, there in ((3600.0, True), (3600.5, False)):
        known = Sessions()
        session = begun(known, "secret")
        assert known.find("secret", 10**6, secure=False) is session
        known.end(session, 10**6)
        found = known.find("secret", 10**6 + later, secure=False)
        assert (found is session) == there
        assert len(known) == known.ended == there


def test_a_resumed_session_does_not_expire() -> None:
    known = Sessions()
    session = begun(known, "secret")
    known.end(session, 0.0)
    known.resume(session)
    assert known.ended == 0
    known.expire(10**6)
    assert known.find("secret", 10**6, secure=False) is session


def test_the_hour_begins_anew_with_each_end() -> None:
    known = Sessions()
    first, second = begun(known, "first"), begun(known, "second")
    known.end(first, 0.0)
    known.end(second, 1.0)
    known.resume(first)
    known.end(first, 3000.0)
    known.expire(3602.0)
    assert known.find("second", 3602.0, secure=False) is None
    assert known.find("first", 3602.0, secure=False) is first


def test_above_ten_thousand_the_oldest_go() -> None:
    assert MAX_ENDED_SESSIONS == 10_000
    known = Sessions()
    alive = begun(known, "alive")
    for number in range(10_003):
        known.end(begun(known, f"t{number}"), float(number) / 100)
    assert (len(known), known.ended) == (10_001, 10_000)
    found = [known.find(f"t{n}", 101.0, secure=False) is not None for n in range(5)]
    assert found == [False, False, False, True, True]
    assert known.find("alive", 101.0, secure=False) is alive


def test_a_forgotten_session_is_unknown() -> None:
    known = Sessions()
    session = begun(known, "secret")
    known.end(session, 0.0)
    known.forget(session)
    known.forget(session)
    assert (len(known), known.ended) == (0, 0)
    assert known.find("secret", 0.0, secure=False) is None


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "end", "resume", "forget", "find"]),
        st.integers(0, 5),
        st.sampled_from([0.0, 1.0, 1000.0, 3600.0, 3601.0]),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 3))
def test_sessions_against_a_list_of_when_they_ended(
    plan: list[tuple[str, int, float]], most: int
) -> None:
    """A session is there while it is connected, and a while after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_ENDED_SESSIONS", most)
        known, now = Sessions(), 0.0
        connected = dict[int, Session]()
        away: list[tuple[float, int, Session]] = []
        for what, who, pause in plan:
            now += pause
            away = [one for one in away if now - one[0] <= 3600.0]
            mine = [one for one in away if one[1] == who]
            expected = connected.get(who) or (mine[0][2] if mine else None)
            assert known.find(str(who), now, secure=False) is expected
            if expected is None:
                if what == "add":
                    connected[who] = begun(known, str(who))
            elif what == "end" and who in connected:
                known.end(expected, now)
                away = [*away, (now, who, connected.pop(who))][-most:]
            elif what == "resume" and mine:
                known.resume(expected)
                connected[who] = expected
                away.remove(mine[0])
            elif what == "forget":
                known.forget(expected)
                connected.pop(who, None)
                away = [one for one in away if one[1] != who]
            assert known.ended == len(away)
            assert len(known) == len(away) + len(connected)


def test_a_new_peer_and_a_new_session() -> None:
    peer = Peer("192.0.2.1", secure=True)
    assert (peer.address, peer.secure) == ("192.0.2.1", True)
    assert (peer.session, peer.gone, peer.tries) == (None, False, 0)
    session = Session(b"d", "Ann", "ann", secure=True)
    assert (session.peer, session.room, session.last_ref) == (None, None, None)
    assert session.strikes.times == ()
