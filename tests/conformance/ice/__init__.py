"""What the ice driver does with the modelled adapter, seen from the host and from the wire."""
