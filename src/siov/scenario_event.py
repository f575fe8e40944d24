"""Events of a scenario: what happens to the server while its guests talk, and when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from siov.scenario_model import Duration, Model, Name

# The keys that each kind of event needs, and those that it may have.
NEEDS: dict[str, set[str]] = {
    "reset": {"device"},
    "adapter-reset": {"adapter"},
    "link-down": {"adapter"},
    "link-up": {"adapter"},
    "bridge-mode": {"adapter", "mode"},
    "invalidation-storm": {"count"},
}
TAKES: dict[str, set[str]] = {"adapter-reset": {"reset"}, "invalidation-storm": {"device", "rate"}}


class EventSpec(Model):
    """What happens `at` a time after the guests have begun to talk, and to whom.

    A storm is `count` invalidations, each of all translations of one address space, which take turns.
    """

    at: Duration = Field(ge=0, le=86_400)
    kind: Literal["reset", "adapter-reset", "link-down", "link-up", "bridge-mode", "invalidation-storm"]
    device: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,32}(\.\d{1,3})?$")
    adapter: Name | None = None
    reset: Literal["PFR", "CORER", "GLOBR"] = "PFR"
    mode: Literal["veb", "vepa"] | None = None
    count: int | None = Field(None, ge=1, le=10_000_000)
    rate: int | None = Field(None, ge=1, le=10_000_000)

    @model_validator(mode="after")
    def _of_its_kind(self) -> EventSpec:
        given = self.model_fields_set - {"at", "kind"}
        needs = NEEDS[self.kind]
        if missing := sorted(needs - given):
            raise ValueError(f"an event of kind {self.kind} needs {', '.join(missing)}")
        if foreign := sorted(given - needs - TAKES.get(self.kind, set())):
            raise ValueError(f"an event of kind {self.kind} takes no {', '.join(foreign)}")
        return self

    @property
    def target(self) -> str:
        """Whom it happens to, in a word."""
        return self.device or self.adapter or "all"
