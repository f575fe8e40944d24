"""Ctrl-C and SIGTERM: a command ends, cleans up, and gives the status that a shell expects."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C or SIGTERM ends what is within; the next ones are not heard, so that it can clean up in peace.

    As exceptions they are `KeyboardInterrupt` and `SystemExit` with status 143. What the caller has ignored,
    as a shell has for what runs in the background, stays so. Nothing outside of the main thread, which
    alone hears of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        for each in NUMBERS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    heard = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
