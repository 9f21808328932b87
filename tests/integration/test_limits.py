"""Who sends too much, reads too little or says nothing, and what it costs others.

Limits are set low here, so that they are reached at once. A time is asserted only
from below: that something was held back, never that something was quick.
"""

import contextlib
import struct
import time

from tests.integration.conftest import Start
from tests.support.crowd import Crowd
from tests.support.peer import Peer, encode, ids, types
from tests.support.waiting import fresh, wait_for


def talk_until_gone(talker: Peer, stalled: Peer, size: int = 3000) -> int:
    """Say things until the stalled member has left; give how many bytes that took."""
    said = 0
    while said < 64 << 20:
        for _ in range(8):
            talker.say("x" * size)
        said += 8 * size
        for frame in talker.sync():
            if frame.type == "left":
                assert frame["nick"] == stalled.nick
                assert frame["reason"] == "lost"
                return said
    raise AssertionError(f"still there after {said} bytes")


# Rates


def test_the_rate_holds_back_and_loses_nothing(start: Start) -> None:
    server = start("--rate", "100", "--burst", "5")
    anna, bob = server.crew("anna", "bob")
    began = time.monotonic()
    anna.send_all(*(encode("say", text=f"line {n}") for n in range(60)))
    for number in range(60):
        anna.expect("message", text=f"line {number}", id=number + 1)
    assert time.monotonic() - began > 0.4
    assert ids(bob.recv_until(lambda f: f.get("id") == 60)) == list(range(1, 61))
    server.expect_rest()


def test_the_rate_in_bytes(start: Start) -> None:
    server = start("--rate-bytes", "80000", "--burst-bytes", "10000")
    anna, _ = server.crew("anna", "bob")
    began = time.monotonic()
    anna.send_all(*(encode("say", text="x" * 2000) for _ in range(20)))
    for number in range(1, 21):
        anna.expect("message", id=number)
    assert time.monotonic() - began > 0.3


def test_no_rate_at_all(start: Start) -> None:
    server = start("--rate", "0", "--burst", "1", "--burst-bytes", "1")
    (anna,) = server.crew("anna")
    anna.send_all(*(encode("say", text="x" * 100) for _ in range(1000)))
    assert ids(anna.sync()) == list(range(1, 1001))


def test_control_frames_and_bad_ones_count_too(start: Start) -> None:
    server = start("--rate", "100", "--burst", "5")
    for data in (encode("ping"), encode("pong"), encode("dance"), b"\0\0\0\1x"):
        (anna,) = server.crew("anna")
        began = time.monotonic()
        anna.send_raw(data * 20)
        anna.sync()
        assert time.monotonic() - began > 0.1, data


def test_a_flood_costs_the_others_nothing(start: Start) -> None:
    """It is read no faster than the rate, which its sender feels, and nobody else."""
    server = start("--rate", "500", "--burst", "20", "--rate-bytes", "0")
    anna, bob = server.crew("anna", "bob")
    flooder = server.member("flooder")
    crowd = Crowd([flooder])
    (flood,) = crowd.members
    flood.outgoing += encode("ping", data="x" * 64, pad="y" * 1000) * 20_000
    size = len(flood.outgoing)
    crowd.serve(lambda: flood.count("pong") >= 100, "the flood is being answered")
    for number in range(1, 6):
        anna.say("undisturbed")
        for peer in (anna, bob):
            peer.expect("message", id=number)
        crowd.serve(lambda: True, "")
    assert flood.outgoing, f"all of {size} bytes were taken at once"
    assert flood.count("pong") == len(flood.payloads)
    flooder.reset()
    server.wait_log("leave", flooder.nick)
    server.expect_rest()


def test_a_flood_that_ends_is_answered_to_the_end(start: Start) -> None:
    server = start("--rate", "2000", "--burst", "10")
    (anna,) = server.crew("anna")
    crowd = Crowd([anna])
    (flood,) = crowd.members
    for number in range(600):
        flood.outgoing += encode("ping", data=str(number))
    crowd.serve(lambda: len(flood.payloads) == 600, "an answer to each")
    assert [frame["data"] for frame in flood.frames("pong")] == [
        str(number) for number in range(600)
    ]


def test_half_closed_with_input_that_waits_for_the_rate(start: Start) -> None:
    """Judged at its rate to the end, and the end of its input is no cause to spin."""
    server = start("--rate", "20", "--burst", "5")
    anna, bob = server.crew("anna", "bob")
    anna.send_all(*(encode("say", text="x") for _ in range(25)))
    anna.half_close()
    server.expect_rest(timeout=0.6)
    before = ids(bob.sync())
    assert len(before) < 25, "some of it was still waiting then"
    assert ids(anna.rest()) == list(range(1, 26))
    seen = bob.recv_until(lambda frame: frame.type == "left")
    assert before + ids(seen) == list(range(1, 26))


def test_a_reset_while_held_back(start: Start) -> None:
    server = start("--rate", "1", "--burst", "5")
    anna, bob = server.crew("anna", "bob")
    bob.expect_nothing()
    anna.send_raw(encode("ping") * 5000)
    anna.expect("pong")
    anna.reset()
    bob.expect("left", nick=anna.nick, reason="lost", timeout=8)
    server.expect_rest()


# Who does not read


def test_who_does_not_read_is_dropped(start: Start) -> None:
    server = start("--rate", "0", "--max-output", "65536")
    anna, bob = server.crew("anna", "bob")
    stalled = server.member("stalled", rcvbuf=4096, room=anna.history()["room"])
    for peer in (anna, bob):
        peer.expect("joined", nick=stalled.nick)
    said = talk_until_gone(anna, stalled)
    assert said > 65536
    seen = bob.recv_until(lambda frame: frame.type == "left")
    heard = ids(seen)
    assert heard == list(range(1, len(heard) + 1)), "bob missed nothing"
    server.wait_log("leave", stalled.nick, "bytes unsent, 65536 are allowed")


def test_who_asks_for_much_and_does_not_read(start: Start) -> None:
    """It is not read either, so that it cannot make the server hold the answers."""
    server = start("--rate", "0")
    (anna,) = server.crew("anna")
    for _ in range(16):
        anna.say("x" * 4000)
    anna.sync()
    greedy = server.member("greedy", rcvbuf=4096, room=anna.history()["room"])
    anna.expect("joined")
    before = server.rss()
    crowd = Crowd([greedy])
    (member,) = crowd.members
    member.reads = False
    member.outgoing += encode("history") * 100
    member.outgoing += encode("ping", pad="x" * 60_000) * 500
    member.outgoing += encode("ping", data="the last")
    deadline = time.monotonic() + 1
    while member.outgoing and time.monotonic() < deadline:
        crowd.serve(lambda: True, "")
        member.transmit()
        anna.expect_nothing()
    assert member.outgoing, "all of 30 MB were taken in"
    assert server.rss() - before < 32 << 20
    # When it reads at last, it gets all that it asked for.
    member.reads = True
    crowd.serve(lambda: len(member.payloads) >= 601, "all answers")
    assert member.count("history") == 100
    assert member.count("pong") == 501
    assert len(set(member.payloads)) == 3
    assert member.frames()[-1] == {"type": "pong", "data": "the last"}


def test_who_reads_late_gets_every_byte(start: Start) -> None:
    """The rest of a write is sent though nothing more is ever written behind it."""
    server = start("--rate", "0")
    (anna,) = server.crew("anna")
    room = anna.history()["room"]
    late = [server.peer(rcvbuf=4096 + 512 * number) for number in range(24)]
    for peer in late:
        peer.hello(room=room)
    crowd = Crowd(late)
    for number in range(60):
        anna.say("x" * (4000 - 7 * number))
    anna.sync()
    crowd.serve(
        lambda: all(member.count("message") == 60 for member in crowd.members),
        "everybody has everything",
    )
    told = [payload for payload in crowd.members[-1].payloads if b"message" in payload]
    for member in crowd.members:
        assert member.payloads[-60:] == told


def test_who_takes_nothing_for_some_time_is_dropped(start: Start) -> None:
    server = start("--rate", "0", "--stall-timeout", "0.5", "--max-output", "0")
    (anna,) = server.crew("anna")
    stalled = server.member("stalled", rcvbuf=4096, room=anna.history()["room"])
    anna.expect("joined")
    for _ in range(300):
        anna.say("x" * 4000)
    seen = anna.recv_until(lambda frame: frame.type == "left")
    assert seen[-1]["nick"] == stalled.nick
    assert seen[-1]["reason"] == "lost"
    assert ids(seen) == list(range(1, 301)), "anna missed nothing"
    server.wait_log("leave", stalled.nick, "unsent, none taken for")


def test_above_the_soft_limit_it_is_dropped_after_ten_seconds(start: Start) -> None:
    """Though it takes some of it all the while; the others hear everything."""
    server = start(
        "--rate", "0", "--max-output", "0", "--max-output-soft", "64KiB",
        "--stall-timeout", "0",
    )  # fmt: skip
    anna, bob = server.crew("anna", "bob")
    stalled = server.member("stalled", rcvbuf=4096, room=anna.history()["room"])
    for peer in (anna, bob):
        peer.expect("joined")
    began = time.monotonic()
    for _ in range(300):
        anna.say("x" * 4000)
    for peer in (anna, bob):
        assert ids(peer.sync()) == list(range(1, 301))
    stalled.expect("message", id=1)
    for peer in (anna, bob):
        peer.expect("left", nick=stalled.nick, reason="lost", timeout=20)
    assert time.monotonic() - began > 9.9
    server.wait_log("leave", stalled.nick, "over 65536 for 10 s")


def test_who_was_dropped_for_it_resumes_without_loss(start: Start) -> None:
    """With the reason in the log; back again, what was missed is in the history."""
    server = start("--rate", "0", "--stall-timeout", "0.5", "--max-output", "0")
    (anna,) = server.crew("anna")
    stalled = server.member("stalled", rcvbuf=4096, room=anna.history()["room"])
    anna.expect("joined")
    for number in range(300):
        anna.say(f"{number} ".ljust(4000, "x"))
    anna.recv_until(lambda frame: frame.type == "left")
    server.wait_log(f"nick={stalled.nick} ", "unsent, none taken for")
    again = server.peer()
    room = anna.history()["room"]
    again.send("hello", version=1, session=stalled.session, room=room)
    assert again.expect("welcome")["nick"] == stalled.nick
    last_id = again.expect("room")["last_id"]
    assert last_id == 300
    heard: list[int] = []
    while len(heard) < last_id:
        again.send("history", after=len(heard), limit=200)
        page = again.expect("history")
        heard += [message["id"] for message in page["messages"]]
        assert page["more"] is (len(heard) < last_id)
    assert heard == list(range(1, 301))


def test_a_slow_reader_is_no_stalled_one(start: Start) -> None:
    server = start("--rate", "0", "--stall-timeout", "1")
    (anna,) = server.crew("anna")
    slow = server.member("slow", rcvbuf=4096, room=anna.history()["room"])
    anna.expect("joined")
    for _ in range(150):
        anna.say("x" * 4000)
    anna.sync()
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        time.sleep(0.05)  # being slow is what is tested
        for _ in range(4):
            slow.expect("message")
    seen = slow.recv_until(lambda frame: frame.get("id") == 150)
    assert ids(seen)[-1] == 150
    anna.expect_nothing()


def test_the_largest_goes_when_all_have_too_much(start: Start) -> None:
    """A chunk that many share counts once, so one who asks for more is the largest."""
    server = start(
        "--rate", "0", "--max-output", "0", "--max-output-soft", "0",
        "--max-output-total", "300000",
    )  # fmt: skip
    anna, bob = server.crew("anna", "bob")
    stalled = server.member("stalled", rcvbuf=4096, room=anna.history()["room"])
    anna.expect("joined")
    bob.expect("joined")
    talk_until_gone(anna, stalled)
    bob.recv_until(lambda frame: frame.type == "left")
    bob.say("still here")
    anna.expect("message", text="still here")


# Silence


def test_idle(start: Start) -> None:
    server = start("--ping-interval", "0.15", "--idle-timeout", "0.6")
    anna, silent = server.crew("anna", "silent")
    pings = 0
    while True:
        frame = anna.recv()
        if frame.type == "left":
            break
        assert frame.type == "ping"
        pings += 1
        if "data" in frame:
            anna.send("pong", data=frame["data"])
        else:
            anna.send("pong")
    assert pings >= 3
    assert frame["nick"] == silent.nick
    assert frame["reason"] == "idle"
    frames = silent.rest()
    assert set(types(frames[:-1])) == {"ping"}
    assert frames[-1].type == "kick"
    assert frames[-1]["reason"] == "idle"
    # Whoever answers stays for longer than that.
    for _ in range(5):
        anna.expect("ping")
        anna.send("pong")
    anna.send("who")
    assert anna.expect("members", skip=["ping"])["members"] == [anna.nick]
    welcome, _ = server.peer().hello(silent.nick)
    assert welcome["nick"] == silent.nick, "it is free"


def test_an_idle_session_can_be_resumed(start: Start) -> None:
    server = start("--ping-interval", "0.1", "--idle-timeout", "0.6")
    silent = server.member("silent")
    silent.say("LOUD")
    silent.expect("warning")
    frames = silent.rest()
    assert frames[-1]["reason"] == "idle"
    again = server.peer()
    welcome, _ = again.hello(session=silent.session)
    assert welcome["nick"] == silent.nick
    assert welcome["strikes"] == 1


def test_any_frame_shows_life(start: Start) -> None:
    server = start("--ping-interval", "0.1", "--idle-timeout", "0.6")
    anna = server.member("anna")
    began = time.monotonic()
    while time.monotonic() - began < 0.9:
        anna.send("ping", data="alive")
        anna.expect("pong", skip=["ping"], data="alive")
        anna.expect("ping")


def test_waiting_for_the_rate_is_not_idle(start: Start) -> None:
    """Also where the next turn is further away than the silence that is allowed."""
    server = start(
        "--rate", "1", "--burst", "2", "--ping-interval", "0.2",
        "--idle-timeout", "0.6",
    )  # fmt: skip
    anna = server.member("anna")
    anna.send_all(encode("say", text="one"), encode("say", text="two"))
    anna.expect("message", skip=["ping"], id=1)
    anna.expect("message", skip=["ping"], id=2)


def test_a_frame_that_takes_too_long(start: Start) -> None:
    """The time counts from its first byte; more bytes do not win more of it."""
    server = start("--frame-timeout", "0.5")
    anna, bob = server.crew("anna", "bob")
    began = time.monotonic()
    data = encode("say", text="x" * 200)
    for index in range(len(data) - 1):
        try:
            anna.send_raw(data[index : index + 1])
            frame = anna.recv(timeout=0.05)
        except AssertionError:
            assert time.monotonic() - began < 5, "it is still being waited for"
            continue
        assert frame.type == "error"
        assert frame["code"] == "timeout"
        break
    assert time.monotonic() - began > 0.4
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="lost")
    bob.expect_nothing()


def test_a_member_between_two_frames_has_time(start: Start) -> None:
    server = start("--frame-timeout", "0.3")
    anna, bob = server.crew("anna", "bob")
    bob.send_raw(struct.pack("!I", 100))
    anna.expect("left", nick=bob.nick, reason="lost")
    anna.say("I have waited as long")
    anna.expect("message")


# Descriptors


def test_out_of_descriptors(start: Start) -> None:
    server = start()
    anna, bob = server.crew("anna", "bob")
    server.limit_descriptors(40)
    extra = [Peer(server.address) for _ in range(60)]
    try:
        for number in range(1, 4):
            anna.say("undisturbed")
            bob.expect("message", id=number)
            anna.expect("message", id=number)
        server.expect_rest()
    finally:
        for peer in extra:
            peer.close()

    def let_in() -> bool:
        with Peer(server.address) as peer:
            peer.send("hello", version=1)
            return peer.recv().type == "welcome"

    wait_for(let_in, "somebody new is let in")
    assert server.log().count(" warning accept ") == 1


def test_many_who_never_speak(start: Start) -> None:
    server = start("--hello-timeout", "0.5", "--max-clients-per-ip", "0")
    anna, bob = server.crew("anna", "bob")
    silent = [server.peer() for _ in range(200)]
    anna.say("undisturbed")
    bob.expect("message")
    for peer in silent:
        peer.expect_error("timeout", closes=True)


def test_the_unfinished_are_bounded(start: Start) -> None:
    """At most 256 more than members; and members can still come afterwards."""
    server = start(
        "--hello-timeout", "1", "--max-clients", "5", "--max-clients-per-ip", "0"
    )  # fmt: skip
    anna = server.member("anna")
    peers = [server.peer() for _ in range(300)]
    anna.expect_nothing()
    answers = []
    for peer in peers:
        with contextlib.suppress(EOFError):
            answers.append(peer.recv())
    codes = [answer["code"] for answer in answers]
    assert set(codes) <= {"full", "timeout"}
    assert codes.count("timeout") <= 256 + 4, "the others were sent away before that"
    assert codes.count("timeout") >= 256
    server.member("bob")


def test_coming_and_going_leaves_no_room_behind(start: Start) -> None:
    """Where nothing was said; so a room for another is there each time."""
    server = start("--rate", "0", "--max-rooms", "3")
    anna = server.member("anna")
    for _ in range(300):
        with server.peer() as peer:
            peer.hello(room=fresh("room"))
            peer.send("leave")
            peer.expect("kick")
    anna.send("rooms")
    page = anna.expect("rooms")
    assert page["rooms"] == [{"room": "lobby", "count": 1}]
