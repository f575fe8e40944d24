"""The whole: adapters, host and embedded guests as a scenario builds them."""
