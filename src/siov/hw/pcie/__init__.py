"""PCI Express: configuration space, functions, ports, switches, the root complex, TLPs."""
