"""Whether parts of the machine are what their specifications say, seen from outside."""
