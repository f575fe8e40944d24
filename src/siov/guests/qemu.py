"""QEMU guests: boot one, run scripts in it, and be sure that it is gone afterwards."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from siov.errors import RigError
from siov.guests import initramfs
from siov.guests.agent import Agent, AgentError, AgentTimeoutError
from siov.guests.image import Rig
from siov.guests.machine import GuestSpec, check_socket, command_line, vfio_user_device
from siov.guests.process import Process
from siov.guests.qmp import Qmp, QmpError

__all__ = [
    "Guest",
    "GuestError",
    "GuestPanicError",
    "GuestResult",
    "GuestSpec",
    "GuestTimeoutError",
    "run_console",
    "run_script",
]

BOOT_TIMEOUT = 120.0
_TAIL_LINES = 40


class GuestError(RigError):
    """A guest that could not start, or ended when it should not have; `console` is what it last printed."""

    def __init__(self, message: str, console: str = "") -> None:
        super().__init__(message)
        self.console = console
        if console:
            self.add_note(f"The end of the guest's console:\n{console}")


class GuestPanicError(GuestError):
    """The guest's kernel panicked."""


class GuestTimeoutError(GuestError):
    """A guest, or a script in it, took too long; `output` is what the script had printed until then."""

    def __init__(self, message: str, console: str = "", output: bytes = b"") -> None:
        super().__init__(message, console)
        self.output = output


@dataclass(slots=True, frozen=True)
class GuestResult:
    """A script's exit status, its output (standard output and error in one), and the console so far."""

    status: int
    output: bytes
    console: str

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode(errors="replace")


class Guest:
    """A QEMU guest that runs scripts, one after the other, in one boot.

        with Guest(GuestSpec(sockets=(path,))) as guest:
            print(guest.check("lspci -vvv"))

    `files` are put into the guest before it boots: absolute path to content. `stderr` takes QEMU's own
    messages and traces; without, the latest of them are kept. Leaving the context kills the guest.
    Not for use by several threads at once.
    """

    def __init__(
        self,
        spec: GuestSpec | None = None,
        *,
        files: Mapping[str, bytes] | None = None,
        rig: Rig | None = None,
        stderr: IO[str] | IO[bytes] | None = None,
    ) -> None:
        self.spec = spec or GuestSpec()
        self._rig = rig
        self._files = dict(files or {})
        self._stderr = stderr
        self._process: Process | None = None
        self._line: socket.socket | None = None
        self._agent: Agent | None = None
        self._qmp_line: socket.socket | None = None
        self._qmp: Qmp | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Boot, and return once the guest runs scripts; raises RigError, GuestError or GuestTimeoutError."""
        if self._process is not None:
            raise GuestError("this guest has been started before; make another one")
        self.spec.check()
        rig = self._rig or Rig.find()
        self._line, agent_end = socket.socketpair()
        self._qmp_line, qmp_end = socket.socketpair()
        console, console_end = socket.socketpair()
        with agent_end, console_end, qmp_end, _initrd(rig, self._files) as initrd:
            ends = {"console": console_end.fileno(), "agent": agent_end.fileno()}
            argv = command_line(
                rig,
                self.spec,
                initrd=f"/proc/self/fd/{initrd}",
                serials=[f"chardev:{name}" for name in ends],
                append="siov.agent=ttyS1",
            )
            ends["qmp"] = qmp_end.fileno()
            argv += ["-qmp", "chardev:qmp"]
            for name, fd in ends.items():
                argv += ["-chardev", f"socket,id={name},fd={fd}"]
            try:
                self._process = Process(
                    argv, rig.qemu_environment(), (initrd, *ends.values()), console, self._stderr
                )
            except OSError as error:
                self.kill()
                raise GuestError(f"QEMU can't be started: {error}") from error
        self._agent = Agent(self._line)
        self._qmp = Qmp(self._qmp_line)
        with self._dialogue(f"the guest did not boot within {timeout:g} s") as agent:
            agent.wait_ready(timeout)

    def run(self, script: str, timeout: float = 60.0) -> GuestResult:
        """Run a shell script in the guest.

        Standard input is empty, the folder is /root. What the script starts in the background goes on after
        it. A script that takes more than `timeout` s is stopped, the guest lives on, and GuestTimeoutError is
        raised. A guest that falls silent or dies is killed: GuestTimeoutError, GuestPanicError, GuestError.
        """
        with self._dialogue("the guest does not answer any more") as agent:
            answer = agent.run(script.encode(errors="surrogateescape"), timeout)
        if answer.late:
            message = f"the script did not end within {timeout:g} s"
            raise GuestTimeoutError(message, self._console_tail(), answer.output)
        return GuestResult(answer.status, answer.output, self.console)

    def check(self, script: str, timeout: float = 60.0) -> str:
        """Run a script that must succeed; its output as text. Raises as `run`, and GuestError if it fails."""
        result = self.run(script, timeout)
        if result.status:
            message = f"a script in the guest ended with status {result.status}"
            error = GuestError(message, self._console_tail())
            error.add_note(f"Its output:\n{result.text}")
            raise error
        return result.text

    def put(self, path: str, data: bytes) -> None:
        """Write a file in the guest, whose path is absolute; raises as `run`."""
        with self._dialogue("the guest does not answer any more") as agent:
            status = agent.put(path, data)
        if status:
            raise GuestError(f"the guest could not write {path}", self._console_tail())

    def reboot(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Have the kernel boot again, and return once it runs scripts; its spec must say `reboot`."""
        self._may_reset()
        # After the answer, which a script that reboots at once would take with it.
        self.check("(usleep 200000; reboot -f) >/dev/null 2>&1 &")
        self._wait_booted(timeout)

    def reset(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Reset the machine, without a word to its kernel, and return once it has booted again.

        Its spec must say `reboot`.
        """
        self._may_reset()
        self.qmp("system_reset")
        self._wait_booted(timeout)

    def qmp(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run a command of QEMU's machine protocol; what it returns. GuestError if it is refused."""
        try:
            return self._monitor().execute(command, arguments)
        except QmpError as error:
            raise self._qmp_failed(error) from None

    def wait_event(self, name: str, timeout: float) -> dict[str, Any]:
        """Wait for an event that QEMU tells of, such as DEVICE_DELETED, after `qmp`; its data."""
        try:
            return self._monitor().wait_event(name, timeout)
        except QmpError as error:
            raise self._qmp_failed(error) from None

    def plug(self, port: int, path: Path) -> None:
        """Put the device on a socket behind root port `port`: those of the spec's sockets, then spare ones.

        When this returns QEMU has it; the guest's kernel finds it a little later.
        """
        check_socket(path)
        self.qmp("device_add", vfio_user_device(port, path))

    def unplug(self, port: int) -> None:
        """Ask the guest to let go of the device behind a port: DEVICE_DELETED follows when it is gone."""
        self.qmp("device_del", {"id": f"vdev{port}"})

    def shutdown(self, timeout: float = 30.0) -> None:
        """Power the guest off in order, and wait for its end; GuestTimeoutError if it had to be killed."""
        process = self._started()
        if self._agent is not None:
            with suppress(AgentError):  # it is gone already
                self._agent.power_off()
        gone = process.wait(timeout)
        console = self._console_tail()
        self.kill()
        if not gone:
            raise GuestTimeoutError(f"the guest did not power off within {timeout:g} s", console)

    def kill(self) -> None:
        """End the guest at once and wait until it is gone; no harm if it is gone already."""
        if self._process is not None:
            self._process.kill()
        for line in (self._line, self._qmp_line):
            if line is not None:
                line.close()
        self._agent = self._qmp = None

    @property
    def console(self) -> str:
        """The latest of what kernel and init wrote to the console."""
        return self._started().console.decode(errors="replace").replace("\r", "")

    @property
    def stderr(self) -> str:
        """The latest of QEMU's own messages and traces, unless they were sent elsewhere."""
        return self._started().messages.decode(errors="replace")

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._started().pid

    @property
    def alive(self) -> bool:
        """Whether QEMU runs."""
        return self._process is not None and self._process.alive

    def _started(self) -> Process:
        if self._process is None:
            raise GuestError("this guest has not been started")
        return self._process

    def _monitor(self) -> Qmp:
        self._started()
        if self._qmp is None:
            raise GuestError("the guest is gone")
        return self._qmp

    def _qmp_failed(self, error: QmpError) -> GuestError:
        if error.kind or not self._started().wait(timeout=5.0):
            return GuestError(str(error), self._console_tail())
        self.kill()
        return self._post_mortem(str(error))

    def _may_reset(self) -> None:
        if not self.spec.reboot:
            raise GuestError("this guest ends when it resets; make it of a spec with reboot=True")

    def _wait_booted(self, timeout: float) -> None:
        with self._dialogue(f"the guest did not boot again within {timeout:g} s") as agent:
            agent.wait_ready(timeout)

    def _console_tail(self) -> str:
        return "\n".join(self.console.splitlines()[-_TAIL_LINES:])

    @contextmanager
    def _dialogue(self, silence: str) -> Iterator[Agent]:
        """The agent to talk to; a dialogue that breaks off ends the guest, which can't be told more."""
        process = self._started()
        if self._agent is None:
            raise GuestError("the guest is gone")
        try:
            yield self._agent
        except AgentTimeoutError:
            self.kill()
            if self.spec.reboot and "Kernel panic - not syncing" in self.console:
                raise self._post_mortem(silence) from None  # it does not end by itself
            raise GuestTimeoutError(silence, self._console_tail()) from None
        except AgentError as error:
            process.wait(timeout=5.0)
            self.kill()
            raise self._post_mortem(str(error)) from None
        except BaseException:
            self.kill()
            raise

    def _post_mortem(self, told: str) -> GuestError:
        process = self._started()
        if panic := re.search(r"Kernel panic - not syncing: (.*)", self.console):
            # The traces of a panic may be longer than the usual tail, and what it says stands before them.
            said = self.console.rfind("\n", 0, panic.start()) + 1
            return GuestPanicError(f"the guest's kernel panicked: {panic[1]}", self.console[said:])
        console = self._console_tail()
        if code := process.returncode:
            end = f"ended with status {code}" if code > 0 else f"was ended by signal {-code}"
            messages = self.stderr.strip().splitlines() or ["no message"]
            return GuestError(f"QEMU {end}: {messages[-1]}", console)
        return GuestError(f"the guest ended too early: {told}", console)


def run_script(
    spec: GuestSpec,
    script: str,
    timeout: float,
    files: Mapping[str, bytes] | None = None,
    *,
    rig: Rig | None = None,
    stderr: IO[str] | IO[bytes] | None = None,
) -> GuestResult:
    """Boot a guest for one script; parameters and errors are those of `Guest` and `Guest.run`."""
    with Guest(spec, files=files, rig=rig, stderr=stderr) as guest:
        return guest.run(script, timeout)


def run_console(spec: GuestSpec, rig: Rig | None = None) -> int:
    """Boot a guest whose console is this process's terminal, until it powers off; QEMU's exit status."""
    spec.check()
    rig = rig or Rig.find()
    argv = command_line(rig, spec, initrd=str(rig.initramfs), serials=["mon:stdio"])
    try:
        return subprocess.run(argv, env=rig.qemu_environment(), check=False).returncode
    except OSError as error:
        raise GuestError(f"QEMU can't be started: {error}") from error


@contextmanager
def _initrd(rig: Rig, files: Mapping[str, bytes]) -> Iterator[int]:
    """A file in memory with the rig's initramfs and, behind it, an archive of the files."""
    fd = os.memfd_create("initramfs")
    try:
        with open(fd, "wb", closefd=False) as stream:
            with rig.initramfs.open("rb") as source:
                shutil.copyfileobj(source, stream)  # in pieces: it is large
            if files:
                stream.write(initramfs.segment(files))
        yield fd
    finally:
        os.close(fd)
