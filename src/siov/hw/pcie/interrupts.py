"""A thread that delivers interrupts of functions that run by themselves."""

from threading import Event, Thread

from siov.hw.pcie.root_complex import RootComplex

LOOK = 0.1  # seconds between looks whether to stop


class InterruptService:
    """Delivers what reaches the CPUs while nobody accesses the root complex; it runs inside a `with` block.

    The host's handlers run on its thread then, one at a time with those that accesses cause.
    """

    def __init__(self, root_complex: RootComplex) -> None:
        self._root_complex = root_complex
        self._stop = Event()
        self._thread = Thread(target=self._run, name="interrupts", daemon=True)

    def __enter__(self) -> "InterruptService":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._root_complex.core.wait(LOOK):
                self._root_complex.settle()
