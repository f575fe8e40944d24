"""The E810's function and firmware."""
