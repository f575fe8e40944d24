"""The control plane of a running server."""
