"""Parts of the PF driver, against the modelled adapter."""
