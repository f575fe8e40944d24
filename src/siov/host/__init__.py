"""What a Linux host runs. Reaches hardware only by MMIO, configuration cycles, memory and interrupts."""
