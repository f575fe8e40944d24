"""A running server's control plane: calls over a UNIX socket, and its sysfs for real programs."""
