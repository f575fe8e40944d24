"""Interrupts on the host: vectors of the CPUs, remapped messages, posted interrupts."""

from siov.host.irq.ims import ImsDomain
from siov.host.irq.vectors import FIRST_VECTOR, LAST_VECTOR, Handler, Irq, IrqVectors

__all__ = ["FIRST_VECTOR", "LAST_VECTOR", "Handler", "ImsDomain", "Irq", "IrqVectors"]
