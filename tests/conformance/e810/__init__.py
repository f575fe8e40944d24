"""The adapter, judged by registers, memory, frames and interrupts alone."""
