"""Traces, captures and counters, with parts that only pretend."""
