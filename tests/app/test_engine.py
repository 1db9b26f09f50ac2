"""What hubs decide is done; messages reach clients in order; nobody is waited for."""

from __future__ import annotations

import hashlib
import logging

import pytest
import trio
import trio.testing

from tests.app.support import FakeClient, Stage
from tests.hub.fake_venue import SECOND
from wsproxy.app import clock
from wsproxy.app.engine import ConflatingPort
from wsproxy.hub import events as e
from wsproxy.hub.link import ACK_TIMEOUT_NS
from wsproxy.model import TEXT, Kind
from wsproxy.replay.digest import ClientDigest
from wsproxy.wire.frames import encode


def subscribed(stage: Stage, *clients: FakeClient) -> None:
    """Clients that have stream ``a``, live on connection 1."""
    for client in clients:
        stage.join("/a", client)
    stage.engine.dispatch(stage.hub, e.UpstreamOpened(1))
    stage.engine.dispatch(stage.hub, e.UpstreamSent(1))
    stage.carry("!ok 1")


# --- commands ----------------------------------------------------------------------------------


def test_commands_about_upstreams_go_to_whoever_has_them() -> None:
    stage = Stage()
    port = stage.join("/a")
    stage.engine.dispatch(stage.hub, e.UpstreamOpened(1))
    stage.engine.leave(stage.hub, port)
    stage.engine.dispatch(stage.hub, e.Tick())
    assert stage.upstreams.told == ["open 1 /", "1> +a #1", "close 1"]


def test_without_upstreams_commands_about_them_are_nobodys() -> None:
    stage = Stage()
    stage.engine.upstreams = None
    stage.join("/a")
    assert stage.upstreams.told == []


def test_a_reply_goes_to_its_client() -> None:
    stage, one, two = Stage(), FakeClient(), FakeClient()
    port = stage.join("/", one)
    stage.join("/", two)
    stage.engine.dispatch(stage.hub, e.ClientSaid(port.number, b"?", TEXT))
    assert (one.texts, two.texts) == (["ok ?: "], [])


def test_a_client_that_the_hub_closes_is_cancelled_with_code_and_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    port = stage.join("/a")
    with caplog.at_level(logging.INFO):
        stage.engine.perform(stage.hub, [e.CloseClient(port.number, 1008, "why")])
    assert port.close == (1008, "why")
    assert port.scope.cancel_called
    assert "client /a is closed: 1008 why" in caplog.messages


def test_notes_are_handed_on_and_warnings_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    note = e.Note(Kind.GAP, 1, ("a",), b"")
    stage.engine.perform(stage.hub, [note, e.Warn("100% full")])
    assert stage.notes == [note]
    assert caplog.messages == ["100% full"]


def test_every_event_is_a_change() -> None:
    stage = Stage()
    before = stage.engine.changed
    stage.engine.dispatch(stage.hub, e.Tick())
    assert before.is_set()
    assert not stage.engine.changed.is_set()


# --- clients -----------------------------------------------------------------------------------


def test_clients_are_numbered_and_never_again() -> None:
    stage = Stage()
    ports = [stage.join("/"), stage.join("/")]
    stage.engine.leave(stage.hub, ports[1])
    ports.append(stage.join("/"))
    assert [port.number for port in ports] == [1, 2, 3]
    assert list(stage.engine.ports) == [1, 3]
    assert list(stage.hub.clients) == [1, 3]


def test_what_a_client_was_sent_is_summed_up() -> None:
    stage, client = Stage(digest=True), FakeClient()
    subscribed(stage, client)
    stage.carry("a 1", "a 2")
    stage.carry("a 3")
    port = stage.engine.ports[1]
    stage.engine.leave(stage.hub, port)
    frames = b"".join(map(encode, (b"a 1", b"a 2", b"a 3")))
    assert client.frames == frames
    sha256 = hashlib.sha256(frames).hexdigest()
    assert stage.engine.left == [ClientDigest(1, "/a", len(frames), sha256, [])]
    assert stage.engine.ports == {}


def test_nobody_sums_up_unless_that_is_wanted() -> None:
    stage = Stage()
    port = stage.join("/")
    assert port.digest is None
    stage.engine.leave(stage.hub, port)
    assert stage.engine.left == []


# --- messages ----------------------------------------------------------------------------------


def test_a_chunk_is_one_write_for_each_client() -> None:
    stage, one, two = Stage(), FakeClient(), FakeClient()
    subscribed(stage, one, two)
    stage.carry("a 1", "a 2", "b 1")
    assert one.texts == two.texts == ["a 1", "a 2"]
    assert len(one.times) == 1


def test_what_only_the_venue_understands_keeps_its_place() -> None:
    stage, client = Stage(), FakeClient()
    subscribed(stage, client)
    stage.carry("a 1", "?!", "~a 2", "a 3", "!notice bye", "a 4")
    assert client.texts == ["a 1", "~a 2", "a 3", "!notice bye", "a 4"]


def test_a_reply_that_the_venue_made_possible_keeps_its_place() -> None:
    stage, client = Stage(), FakeClient()
    subscribed(stage, client)
    stage.engine.dispatch(stage.hub, e.ClientSaid(1, b"+b", TEXT))
    stage.carry("a 1", "b 0", "!ok 2", "b 1", "a 2")
    assert client.texts == ["a 1", "ok +b: a,b", "b 1", "a 2"]


def test_a_client_that_lags_is_closed_and_nobody_else() -> None:
    stage, slow, good = Stage(outbox_bytes=9), FakeClient(is_slow=True), FakeClient()
    subscribed(stage, slow, good)
    stage.carry("a 1")
    assert stage.engine.ports[1].close is None
    stage.carry("a 2")
    code, reason = stage.engine.ports[1].close or (0, "")
    assert code == 1008
    assert reason.startswith("lagging: 10 bytes and ")
    stage.carry("a 3")
    assert slow.texts == ["a 1", "a 2"]
    assert good.texts == ["a 1", "a 2", "a 3"]
    assert stage.engine.ports[2].close is None


@pytest.mark.parametrize(("bound", "lags"), [(10, False), (9, True)])
def test_the_bound_itself_is_no_lag(bound: int, lags: bool) -> None:
    stage, client = Stage(outbox_bytes=bound), FakeClient(is_slow=True)
    subscribed(stage, client)
    stage.carry("a 1", "a 2")
    assert (stage.engine.ports[1].close is not None) is lags


@pytest.mark.parametrize(("messages", "lags"), [(8, False), (9, True)])
def test_a_young_backlog_may_be_four_times_the_bound(messages: int, lags: bool) -> None:
    stage, client = Stage(outbox_bytes=10), FakeClient(is_slow=True)
    client.since_ns = clock.now().mono_ns + SECOND  # however slow this machine is
    subscribed(stage, client)
    stage.carry(*(f"a {index}" for index in range(messages)))
    assert (stage.engine.ports[1].close is not None) is lags


def test_of_a_crowd_that_lags_few_are_closed_at_once() -> None:
    stage, crowd = Stage(outbox_bytes=10), [FakeClient(is_slow=True) for _ in range(25)]
    subscribed(stage, *crowd)

    def left() -> int:
        return sum(port.close is None for port in stage.engine.ports.values())

    counts = []
    for number in range(5):
        stage.carry(f"a {number}")
        counts.append(left())
    assert counts == [25, 25, 15, 5, 0]


def test_of_a_crowd_whose_outboxes_are_full_none_stays() -> None:
    stage, crowd = Stage(outbox_bytes=10), [FakeClient(is_slow=True) for _ in range(25)]
    subscribed(stage, *crowd)
    stage.carry(*(f"a {number}" for number in range(9)))
    assert all(port.close is not None for port in stage.engine.ports.values())


def test_a_client_that_reads_no_replies_lags_too() -> None:
    stage, slow = Stage(outbox_bytes=9), FakeClient(is_slow=True)
    port = stage.join("/", slow)
    for _ in range(2):
        stage.engine.dispatch(stage.hub, e.ClientSaid(port.number, b"?", TEXT))
    assert port.close is None
    stage.engine.dispatch(stage.hub, e.ClientSaid(port.number, b"?", TEXT))
    assert port.close is not None
    assert port.close[0] == 1008
    assert port.close[1].startswith("lagging: ")


# --- clients that conflate ---------------------------------------------------------------------


def conflating(client: FakeClient, outbox_bytes: int = 1000) -> tuple[Stage, ConflatingPort]:
    """A stage on which the client has the stream ``a``, whose messages replace one another."""
    stage = Stage(replaced="a", outbox_bytes=outbox_bytes)
    port = stage.join("/a", client, conflates=True)
    assert isinstance(port, ConflatingPort)
    stage.engine.dispatch(stage.hub, e.UpstreamOpened(1))
    stage.engine.dispatch(stage.hub, e.UpstreamSent(1))
    stage.carry("!ok 1")
    return stage, port


async def test_a_client_that_keeps_up_gets_everything_whether_it_conflates_or_not() -> None:
    client = FakeClient()
    stage, port = conflating(client)
    stage.carry("a 1", "a 2")
    stage.carry("a 3")
    assert client.texts == ["a 1", "a 2", "a 3"]
    assert (port.lag_bytes, port.conflated, stage.hub.conflated) == (0, 0, 0)


async def test_a_client_that_conflates_gets_the_newest_when_it_has_read_the_rest(
    nursery: trio.Nursery,
) -> None:
    client = FakeClient(is_slow=True)
    stage, port = conflating(client)
    nursery.start_soon(port.keep_up)
    stage.carry("a 1")
    await trio.testing.wait_all_tasks_blocked()
    for number in range(2, 6):
        stage.carry(f"a {number}")
    assert client.texts == ["a 1"]
    assert port.lag_bytes == len(b"??a 1") + len(b"??a 5")
    client.is_slow = False
    client.drained.set()
    await trio.testing.wait_all_tasks_blocked()
    stage.carry("a 6")
    assert client.texts == ["a 1", "a 5", "a 6"]
    assert (port.lag_bytes, port.conflated, stage.hub.conflated) == (0, 3, 3)
    nursery.cancel_scope.cancel()


async def test_what_waits_in_the_hub_counts_as_lag() -> None:
    stage, port = conflating(FakeClient(is_slow=True), outbox_bytes=20)
    stage.engine.dispatch(stage.hub, e.ClientSaid(port.number, b"+b", TEXT))
    stage.carry("!ok 2", "a 1")
    for _ in range(9):
        stage.carry("a 2")
    assert port.close is None
    other = stage.join("/b")
    stage.carry("b 1")
    code, reason = port.close or (0, "")
    assert code == 1008
    assert reason.startswith("lagging: ")
    assert other.close is None
    assert list(stage.hub.behind) == []


async def test_a_client_that_leaves_takes_its_backlog_along() -> None:
    stage, port = conflating(FakeClient(is_slow=True))
    stage.carry("a 1")
    stage.carry("a 2")
    assert list(stage.hub.behind) == [port.number]
    stage.engine.leave(stage.hub, port)
    assert list(stage.hub.behind) == []
    assert port.lag_bytes == len(b"??a 1")
    assert stage.hub.catch_up(port.number) == b""


async def test_what_waits_goes_before_a_connection_of_ones_own() -> None:
    client = FakeClient(is_slow=True)
    stage, port = conflating(client)
    stage.carry("a 1")
    stage.carry("a 2", "a 3")
    stage.engine.dispatch(stage.hub, e.ClientSaid(port.number, b"$login", TEXT))
    assert port.dedicated is not None
    assert client.texts == ["a 1", "a 3"]


# --- time --------------------------------------------------------------------------------------


async def test_the_hub_is_woken_when_it_wants_to_be(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage, client = Stage(), FakeClient()
    nursery.start_soon(stage.engine.tick, stage.hub)
    await trio.sleep(100)  # with nothing to wait for
    stage.join("/a", client)
    stage.engine.dispatch(stage.hub, e.UpstreamOpened(1))
    asked = trio.current_time()
    await trio.sleep(100)
    assert client.texts == ["no None: the venue did not answer in time"]
    assert client.times == pytest.approx([asked + ACK_TIMEOUT_NS / SECOND])


async def test_a_deadline_that_comes_nearer_is_kept(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(linger_ns=3 * SECOND)
    nursery.start_soon(stage.engine.tick, stage.hub)
    port = stage.join("/a")
    stage.engine.dispatch(stage.hub, e.UpstreamOpened(1))
    await trio.sleep(1)  # the hub waits for the venue's answer now, which takes longer
    stage.engine.leave(stage.hub, port)
    await trio.sleep(2.9)
    assert "close 1" not in stage.upstreams.told
    await trio.sleep(0.2)
    assert "close 1" in stage.upstreams.told


# --- clients with a connection of their own ---------------------------------------------------


def test_who_leaves_the_shared_service_is_marked() -> None:
    stage = Stage()
    port = stage.join("/")
    assert port.dedicated is None
    stage.engine.dispatch(stage.hub, e.ClientSaid(port.number, b"$login", TEXT))
    assert port.dedicated is not None
    assert port.dedicated.said == ((b"$login", TEXT),)


def test_what_a_dedicated_connection_brings_is_bounded() -> None:
    stage, client = Stage(outbox_bytes=100), FakeClient(is_slow=True)
    port = stage.join("/", client)
    stage.engine.dispatch(stage.hub, e.ClientSaid(port.number, b"$login", TEXT))
    client.since_ns = clock.now().mono_ns - 2 * SECOND
    stage.engine.pass_on(stage.hub, port, bytes(100))
    assert port.close is None
    stage.engine.pass_on(stage.hub, port, bytes(1))
    assert port.close is not None
    assert port.close[0] == 1008
