"""The driver of the E810's physical function."""
