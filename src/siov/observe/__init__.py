"""Events, the inspect tree, capture, metrics."""
