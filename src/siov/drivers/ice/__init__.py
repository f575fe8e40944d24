"""The driver of the E810's physical function, and the virtual devices that it makes."""
