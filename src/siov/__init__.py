"""siov: one server's worth of hardware and host software for Scalable I/O Virtualization, in a process."""

__version__ = "0.1.0"
