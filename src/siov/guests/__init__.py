"""Who uses a virtual device: embedded VMs, and QEMU VMs over vfio-user."""
