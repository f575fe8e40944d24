"""What a server needs of the system."""

import resource


def raise_file_limit() -> None:
    """As many open files as the system lets us have: each vector of a guest is one, and 1,024 are usual."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
