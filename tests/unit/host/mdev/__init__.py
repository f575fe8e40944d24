"""Mediated devices."""
