"""The driver of the E810's physical function, and of the virtual devices that it makes."""
