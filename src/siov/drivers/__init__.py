"""Who drives the hardware: the PF driver with its VDCM, and the embedded guest driver."""
