"""The NIC: its PF function, its firmware behind the admin queue, its ports."""
