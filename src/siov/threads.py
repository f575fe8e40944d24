"""What runs in a server: NICs' workers, their firmware, and the CPU that takes the host's interrupts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from siov._core import Nic
from siov.hw.e810.function import E810Function
from siov.hw.pcie.root_complex import RootComplex

log = logging.getLogger("siov")

PATIENCE = 0.1  # seconds after which a thread that waits looks whether it shall end
ROUNDS = 100_000  # of `pump`; who needs more has a driver and a device that keep each other busy


@dataclass(slots=True)
class Threads:
    """The threads of a server. Without `start` there are none, and `pump` does all their work.

    While they run, the host's handlers run on one of them only. `failures` are errors of ours in handlers:
    they are logged, and the server goes on.
    """

    root_complex: RootComplex
    nics: Sequence[E810Function] = ()
    failures: list[Exception] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _interrupts: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Between start and stop."""
        return self._interrupts is not None

    def start(self) -> None:
        """Start them all; nothing when they run. `OSError` when the system has no threads left."""
        if self.running:
            return
        self._stopping.clear()
        self._interrupts = threading.Thread(target=self._serve, name="host-interrupts", daemon=True)
        self._interrupts.start()
        try:
            for function in self.nics:
                function.device.start()
                if isinstance(engine := function.device.engine, Nic):
                    engine.start()
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """End them all; what they have left is done by whoever pumps next."""
        for function in self.nics:
            if isinstance(engine := function.device.engine, Nic):
                engine.stop()
            function.device.stop()
        if self._interrupts is not None:
            self._stopping.set()
            self._interrupts.join()
            self._interrupts = None
            self.root_complex.handler = None

    def pump(self, rounds: int = ROUNDS) -> int:
        """Do what there is to do, until there is nothing or so many rounds are over; gives the rounds.

        Nothing is done while threads do it.
        """
        if self.running:
            return 0
        for done in range(rounds):
            busy = False
            for function in self.nics:
                if isinstance(engine := function.device.engine, Nic):
                    busy |= engine.pump()
                function.device.service()
            busy |= self.root_complex.core.busy
            self.root_complex.settle()
            if not busy:
                return done
        return rounds

    def _serve(self) -> None:
        root_complex = self.root_complex
        root_complex.handler = threading.get_ident()
        while not self._stopping.is_set():
            if root_complex.core.wait(PATIENCE):
                try:
                    root_complex.settle()
                except Exception as why:  # the thread must outlive an error of ours in one handler
                    self.failures.append(why)
                    log.exception("a handler of the host's interrupts failed")

    def inspect(self) -> dict[str, object]:
        """Whether they run, and how many handlers failed."""
        return {"running": self.running, "failures": len(self.failures)}
