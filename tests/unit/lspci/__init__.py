"""The listing of PCI functions, against claims and against pciutils' own lspci."""
