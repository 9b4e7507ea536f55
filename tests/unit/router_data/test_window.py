"""What one client may have in flight shrinks as the window fills, so that others always find room."""

from headrace_router.data.batchers.decisions.balance import Window
from hypothesis import given
from hypothesis import strategies as st

CLIENTS = ("ann", "bob", "eve")


def fill(window: Window, client: str, *, size_bytes: int = 10, online: bool = True) -> int:
    """Send as much of a client as may go; return how much."""
    sent = 0
    while window.has_room(client, size_bytes, online=online):
        window.add(client, size_bytes, online=online)
        sent += 1
    return sent


def test_a_client_alone_has_eight_ninths_and_whoever_comes_next_finds_room():
    window = Window(900, 10**9)
    assert 800 <= fill(window, "noisy") <= 801
    assert fill(window, "quiet") >= 80


def test_those_that_want_everything_end_up_alike_and_leave_room_for_who_comes_next():
    window = Window(1700, 10**9)
    for client in CLIENTS:
        fill(window, client)
    for at in range(6000):  # every answer lets all of them try again
        answered = CLIENTS[at % len(CLIENTS)]
        if window.held(answered, online=True):
            window.remove(answered, 10, online=True)
        for client in CLIENTS:
            fill(window, client)
    held = [window.held(client, online=True) for client in CLIENTS]
    assert max(held) - min(held) <= 8
    assert fill(window, "new") >= 50


def test_bulk_of_a_client_leaves_half_to_whoever_waits_even_to_itself():
    window = Window(900, 10**9)
    assert 450 <= fill(window, "scorer", online=False) <= 451
    assert fill(window, "scorer") >= 350


def test_bytes_are_shared_by_the_same_rule():
    window = Window(10**6, 9000)
    assert 8000 <= 100 * fill(window, "noisy", size_bytes=100) <= 8100
    assert window.has_room("quiet", 500, online=True)


def test_one_request_alone_may_be_of_any_size():
    window = Window(10, 100)
    assert window.has_room("ann", 10**6, online=True)
    window.add("ann", 10**6, online=True)
    assert not window.has_room("bob", 1, online=True)


@given(st.lists(st.tuples(st.sampled_from(CLIENTS), st.integers(0, 40), st.booleans(), st.booleans()), max_size=200))
def test_the_bounds_hold_and_what_left_leaves_nothing_behind(steps):
    window, inside = Window(20, 300), []
    for client, size_bytes, online, leaves in steps:
        if leaves and inside:
            gone, gone_bytes, gone_online = inside.pop()
            window.remove(gone, gone_bytes, online=gone_online)
        elif window.has_room(client, size_bytes, online=online):
            window.add(client, size_bytes, online=online)
            inside.append((client, size_bytes, online))
        assert len(inside) <= 20
        assert sum(size for _, size, _ in inside) <= 300
    for client, size_bytes, online in inside:
        window.remove(client, size_bytes, online=online)
    window.add("ann", 0, online=True)
    assert window.has_room("bob", 300, online=True)
    assert not window.has_room("bob", 301, online=True)
    window.remove("ann", 0, online=True)
    assert fill(window, "eve", size_bytes=0) == 18
