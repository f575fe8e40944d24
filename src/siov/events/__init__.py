"""What happens to a server at times that its scenario tells."""

from siov.events.schedule import Event, Events

__all__ = ["Event", "Events"]
