"""The function's lock: service runs once for each kick at least, never in the middle of work."""

import threading

from siov.drivers.ice.service_lock import ServiceLock


def test_a_kick_runs_the_service_at_once_when_nobody_holds_the_lock():
    ran = []
    lock = ServiceLock(lambda: ran.append(1))
    lock.kick()
    assert ran == [1]


def test_a_kick_in_the_middle_of_work_waits_until_the_holder_lets_go_of_the_last_hold():
    ran = []
    lock = ServiceLock(lambda: ran.append(1))
    with lock:
        with lock:
            lock.kick()
            lock.kick()
        assert ran == []
    assert ran == [1], "two kicks that wait are one run"


def test_a_kick_from_within_the_service_runs_it_again_and_not_inside():
    depth, deepest, left = 0, 0, 3

    def service() -> None:
        nonlocal depth, deepest, left
        depth += 1
        deepest = max(deepest, depth)
        if left:
            left -= 1
            with lock:
                lock.kick()
        depth -= 1

    lock = ServiceLock(service)
    lock.kick()
    assert (left, deepest) == (0, 1)


def test_a_kick_of_another_thread_never_waits_and_is_not_lost():
    ran = threading.Event()
    lock = ServiceLock(ran.set)
    with lock:
        other = threading.Thread(target=lock.kick)
        other.start()
        other.join(10)
        assert not other.is_alive()
        assert not ran.is_set()
    assert ran.is_set()


def test_an_error_in_the_service_leaves_the_lock_free_for_the_next():
    calls = []

    def service() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("a bug")

    lock = ServiceLock(service)
    try:
        lock.kick()
    except ValueError:
        lock.kick()
    assert len(calls) == 2


def test_many_threads_lose_no_kick():
    seen = wanted = 0

    def service() -> None:
        nonlocal seen
        seen = wanted

    lock = ServiceLock(service)

    def work() -> None:
        nonlocal wanted
        for _ in range(300):
            with lock:
                wanted += 1
            lock.kick()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == wanted == 1200


def test_a_thread_that_is_kicked_without_end_is_let_go_and_another_goes_on():
    """A guest that floods its mailbox must not keep a thread that only wanted to manage something."""
    ran, handed = [], []

    def service() -> None:
        ran.append(1)
        if len(ran) < 1000:
            lock.kick()

    lock = ServiceLock(service, lambda: handed.append(len(ran)))
    lock.kick()
    assert len(ran) == 8
    assert handed == [8]
    lock.kick()
    assert len(ran) == 16, "who goes on finds what is wanted"


def test_who_passes_the_service_on_to_itself_goes_on_and_not_deeper():
    """The thread that takes interrupts fires the vector, and takes that interrupt within the access."""
    left, handed = 10_000, 0

    def service() -> None:
        nonlocal left
        left -= 1
        if left:
            lock.kick()

    def later() -> None:
        nonlocal handed
        handed += 1
        lock.kick()

    lock = ServiceLock(service, later)
    lock.kick()
    assert left == 0
    assert handed > 100


def test_who_passes_the_service_on_to_another_thread_is_free():
    runs, others = [], []

    def service() -> None:
        runs.append(threading.get_ident())
        if len(runs) < 20:
            lock.kick()

    def later() -> None:
        others.append(threading.Thread(target=lock.kick))

    lock = ServiceLock(service, later)
    lock.kick()
    assert len(runs) == 8
    others[0].start()
    others[0].join(10)
    assert len(runs) == 16
