"""The machine: what hardware is and does. Imports spec and the core, never host."""
