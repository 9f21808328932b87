"""The strike machine against oracles that work in another way, and its properties.

The oracles know protocol.md, section 6, as regular expressions over the whole history;
the machine goes one step at a time.
"""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core.moderation import (
    TRANSITIONS,
    Action,
    Input,
    Moderator,
    State,
    Strikes,
    capitals,
    step,
)
from tests.support.strategies import shouts, spoken, texts

LETTERS = dict(zip("tsklp", Input, strict=True))
"""One letter for each input: text, shout, kicking shout, leave, lapse."""
ENDED = {"k": Action.KICK, "l": Action.LEAVE}
OPEN = {"t": Action.DELIVER, "s": Action.WARN, "p": Action.NOTHING}


def test_the_table_has_a_row_for_every_pair() -> None:
    assert set(TRANSITIONS) == set(product(State, Input))
    assert all(step(*pair) == outcome for pair, outcome in TRANSITIONS.items())


def expected_step(history: str) -> tuple[State, Action]:
    """Say where *history* (of ``LETTERS``) leads, and what its last input does."""
    before, last = history[:-1], history[-1]
    if re.search("[kl]", before):
        return State.GONE, Action.IGNORE
    if last in ENDED:
        return State.GONE, ENDED[last]
    warned = "s" in history.rpartition("p")[2]
    return (State.WARNED if warned else State.CLEAN), OPEN[last]


def test_every_sequence_of_inputs_up_to_eight() -> None:
    count = 0
    todo = [("", State.CLEAN)]
    while todo:
        history, state = todo.pop()
        for letter, event in LETTERS.items():
            longer = history + letter
            after, action = step(state, event)
            assert (after, action) == expected_step(longer), longer
            count += 1
            if len(longer) < 8:
                todo.append((longer, after))
    assert count == sum(5**length for length in range(1, 9))


# -- texts and times --------------------------------------------------------------

SAID = {
    "t": [
        "hello",
        "Hi There",
        "!leave now",
        "123 !?",
        "OK then",
        "!Leave",
        "中文",
        "x",
    ],
    "s": ["HELLO", "A", "!LEAVE", "ÄÖÜ 1", "WHY? ...", "ΑΒΓ", "Ⓐ", "X!"],
    "l": ["!leave", " !leave", "!leave\n", "\t!leave\t ", "!leave", "\n!leave"],
}
LAPSE = 50.0
PAUSE = 1000.0


def expected_judgements(history: str, limit: int, *, lapses: bool) -> list[Action]:
    """Judge the whole *history* at once; ``p`` is a pause in which strikes lapse."""
    between = "[t]*" if lapses else "[tp]*"
    end = re.search(f"l|s(?:{between}s){{{limit - 1}}}", history)
    last = end.end() - 1 if end else len(history)
    actions = [OPEN[letter] for letter in history[:last]]
    if end:
        actions.append(Action.LEAVE if end[0] == "l" else Action.KICK)
        actions += [Action.IGNORE] * (len(history) - last - 1)
    return [a for a, letter in zip(actions, history, strict=True) if letter != "p"]


@pytest.mark.parametrize("lapse", [0.0, LAPSE])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_every_sequence_of_texts_up_to_eight(limit: int, lapse: float) -> None:
    """The actions so far are carried along, so each history is judged once."""
    moderator = Moderator(limit=limit, lapse=lapse)
    Node = tuple[str, State, tuple[float, ...], float, list[Action]]
    todo: list[Node] = [("", State.CLEAN, (), 0.0, [])]
    count = 0
    while todo:
        history, state, times, now, actions = todo.pop()
        for letter in "tslp":
            longer, later, done = history + letter, now + 1.0, actions
            strikes = Strikes()
            strikes.state, strikes.times = state, times
            if letter == "p":
                later += PAUSE
            else:
                said = SAID[letter][len(history) % len(SAID[letter])]
                done = actions + [moderator.judge(strikes, said, later)]
            count += 1
            if len(longer) < 8:
                todo.append((longer, strikes.state, strikes.times, later, done))
            else:
                expected = expected_judgements(longer, limit, lapses=lapse > 0)
                assert done == expected, longer
    assert count == sum(4**length for length in range(1, 9))


# -- properties -------------------------------------------------------------------

seconds = st.integers(0, 400).map(float)
moderators = st.builds(
    Moderator,
    limit=st.integers(1, 5),
    min_letters=st.integers(0, 4),
    lapse=st.sampled_from([0.0, 1.0, 30.0, 100.0]),
)
speech = st.lists(
    st.tuples(spoken | shouts | st.sampled_from(["!leave", "HEY", "hey"]), seconds),
    max_size=20,
)


def play(
    moderator: Moderator, said: list[tuple[str, float]], start: float = 0.0
) -> tuple[list[Action], list[int]]:
    """Say it all, each text after its pause; return the actions and the strikes."""
    strikes, now = Strikes(), start
    actions, counts = [], []
    for text, pause in said:
        now += pause
        actions.append(moderator.judge(strikes, text, now))
        counts.append(len(strikes.times))
    return actions, counts


@given(moderators, st.lists(st.tuples(texts | spoken, seconds), max_size=12))
def test_nobody_is_warned_or_kicked_without_a_shout(
    moderator: Moderator, said: list[tuple[str, float]]
) -> None:
    quiet = [(text, pause) for text, pause in said if not text.isupper()]
    actions, counts = play(moderator, quiet)
    assert {Action.WARN, Action.KICK}.isdisjoint(actions)
    assert not any(counts)


@given(st.integers(1, 6), speech)
def test_the_kick_comes_at_exactly_the_configured_strike(
    limit: int, said: list[tuple[str, float]]
) -> None:
    talk = [(text, pause) for text, pause in said if text.strip() != "!leave"]
    actions, _ = play(Moderator(limit=limit), talk)
    shouted = [
        action
        for (text, _), action in zip(talk, actions, strict=True)
        if text.isupper() and action is not Action.IGNORE
    ]
    full = min(limit, sum(text.isupper() for text, _ in talk))
    assert len(shouted) == full
    assert shouted[: limit - 1] == [Action.WARN] * min(full, limit - 1)
    assert shouted[limit - 1 :] == [Action.KICK] * (full == limit)


@given(moderators, speech)
def test_a_shout_is_never_delivered_and_anything_else_is(
    moderator: Moderator, said: list[tuple[str, float]]
) -> None:
    actions, _ = play(moderator, said)
    for (text, _), action in zip(said, actions, strict=True):
        if action is Action.IGNORE:
            break
        shout = text.isupper() and sum(map(str.isupper, text)) >= moderator.min_letters
        assert (action is Action.DELIVER) == (not shout and text.strip() != "!leave")


@given(moderators, speech, st.sampled_from(["!leave", "HEY"]), speech)
def test_nothing_has_any_effect_after_the_end(
    moderator: Moderator,
    said: list[tuple[str, float]],
    last: str,
    then: list[tuple[str, float]],
) -> None:
    actions, counts = play(moderator, said + [(last, 0.0)] * 6 + then)
    ends = [a for a in actions if a in (Action.KICK, Action.LEAVE)]
    if last == "!leave" or moderator.min_letters <= 3:
        assert len(ends) == 1
    if ends:
        end = actions.index(ends[0])
        assert set(actions[end + 1 :]) <= {Action.IGNORE}
        assert max(counts[end:]) == counts[end]


@given(moderators, speech, st.sampled_from(["!leave", " !leave\n", "\t!leave"]))
def test_leaving_never_costs_a_strike(
    moderator: Moderator, said: list[tuple[str, float]], leave: str
) -> None:
    strikes, now = Strikes(), 0.0
    for text, pause in said:
        now += pause
        moderator.judge(strikes, text, now)
    gone, before = strikes.state is State.GONE, strikes.times
    action = moderator.judge(strikes, leave, now)
    assert action is (Action.IGNORE if gone else Action.LEAVE)
    assert strikes.times == before


@given(moderators, st.lists(st.tuples(st.integers(0, 2), speech), max_size=8))
def test_members_do_not_influence_each_other(
    moderator: Moderator, turns: list[tuple[int, list[tuple[str, float]]]]
) -> None:
    records = [Strikes() for _ in range(3)]
    alone: list[list[tuple[str, float]]] = [[], [], []]
    together: list[list[Action]] = [[], [], []]
    now, last = 0.0, [0.0, 0.0, 0.0]
    for who, said in turns:
        for text, pause in said:
            now += pause
            together[who].append(moderator.judge(records[who], text, now))
            alone[who].append((text, now - last[who]))
            last[who] = now
    assert together == [play(moderator, said)[0] for said in alone]


@given(moderators, speech, st.lists(seconds, min_size=20, max_size=20))
def test_more_time_between_never_means_more_strikes(
    moderator: Moderator, said: list[tuple[str, float]], longer: list[float]
) -> None:
    slow = [
        (text, pause + more) for (text, pause), more in zip(said, longer, strict=False)
    ]
    fast_actions, fast = play(moderator, said)
    slow_actions, slower = play(moderator, slow)

    def kicked(actions: list[Action]) -> int:
        return actions.index(Action.KICK) if Action.KICK in actions else len(actions)

    assert kicked(slow_actions) >= kicked(fast_actions)
    end = kicked(fast_actions)
    assert all(a >= b for a, b in zip(fast[:end], slower[:end], strict=True))


@given(moderators, speech, st.integers(0, 10**6).map(float))
def test_a_later_clock_changes_nothing(
    moderator: Moderator, said: list[tuple[str, float]], start: float
) -> None:
    assert play(moderator, said, start) == play(moderator, said)


@given(
    st.integers(0, 8),
    st.lists(st.sampled_from("ABCÄΣЖẞ"), min_size=1, max_size=10),
    st.text(st.sampled_from(" 123!?.中-"), max_size=8),
)
def test_with_fewer_letters_than_asked_it_is_no_shout(
    fewest: int, letters: list[str], rest: str
) -> None:
    text = rest.join(letters) + rest
    moderator = Moderator(min_letters=fewest)
    shout = len(letters) >= fewest
    assert moderator.is_shout(text) == shout
    action = moderator.judge(Strikes(), text, 0.0)
    assert action is (Action.WARN if shout else Action.DELIVER)


def test_ok_passes_where_three_letters_make_a_shout() -> None:
    moderator = Moderator(min_letters=3)
    assert not moderator.is_shout("OK")
    assert moderator.is_shout("OKA")


@pytest.mark.parametrize("text", ["A", "HELLO", "123 A", "!LEAVE", "ẞ", "Ⅷ", "A中"])
def test_shouts(text: str) -> None:
    assert Moderator().is_shout(text)


@pytest.mark.parametrize(
    "text", ["", "a", "Hello", "123", "HELLo", "ß", "ǅ", "中", "ª"]
)
def test_no_shouts(text: str) -> None:
    assert not Moderator().is_shout(text)


def test_in_a_whisper_leave_is_a_text_like_others() -> None:
    strikes = Strikes()
    judge = Moderator().judge
    assert judge(strikes, "!leave", 0.0, may_leave=False) is Action.DELIVER
    assert judge(strikes, "!LEAVE", 0.0, may_leave=False) is Action.WARN
    assert judge(strikes, "!leave", 0.0) is Action.LEAVE


def test_a_strike_is_forgotten_when_its_time_is_over_and_not_before() -> None:
    moderator = Moderator(limit=2, lapse=10.0)
    for later, expected in ((9.999, Action.KICK), (10.0, Action.WARN)):
        strikes = Strikes()
        assert moderator.judge(strikes, "HEY", 100.0) is Action.WARN
        assert moderator.judge(strikes, "HEY", 100.0 + later) is expected


def test_each_strike_has_its_own_time() -> None:
    moderator = Moderator(limit=3, lapse=10.0)
    strikes = Strikes()
    for now in (0.0, 6.0, 12.0):
        assert moderator.judge(strikes, "HEY", now) is Action.WARN
    assert strikes.times == (6.0, 12.0)
    assert moderator.judge(strikes, "HEY", 13.0) is Action.KICK


def test_forgetting_shows_in_the_record() -> None:
    moderator = Moderator(limit=3, lapse=10.0)
    strikes = Strikes()
    moderator.judge(strikes, "HEY", 0.0)
    moderator.forget(strikes, 9.0)
    assert (strikes.state, strikes.times) == (State.WARNED, (0.0,))
    moderator.forget(strikes, 10.0)
    assert (strikes.state, strikes.times) == (State.CLEAN, ())


def test_capitals_are_counted() -> None:
    assert capitals("AbC1ÄⒶß") == 4


def test_the_rules_are_told_in_words() -> None:
    assert "capitals" in Moderator().rule()
    assert "3 letters" in Moderator(min_letters=3).rule()
    assert "4 of 4" in Moderator(limit=4).penalty()
    assert "60 s" in Moderator(lapse=60.0).penalty()
