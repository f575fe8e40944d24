"""The virtual device: its registers, its configuration space, its life."""
