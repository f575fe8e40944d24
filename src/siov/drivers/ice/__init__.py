"""The driver of the E810's physical function: queues, VSIs, interrupts, mailbox, and resets."""
