"""What a caller did wrong: every such error is one sentence that names the thing and the choices."""


class SiovError(Exception):
    """An error of the caller's, told in one sentence; the command line prints it and exits with status 2."""


class ScenarioError(SiovError):
    """A scenario that can't be built: an unknown key, a value out of range, two things in one place."""


class RigError(SiovError):
    """The guest rig (QEMU, kernel, initramfs) is missing or can't be made or started."""
