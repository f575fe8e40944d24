"""Measurements: one module each, run by `siov bench NAME`."""
