"""The architecture as data: registers, tables, descriptors and messages. Imports nothing of ours."""
