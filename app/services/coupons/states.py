"""What can become of a template or a pack, and when it can be edited (CPN-1, CPN-2)."""

from app.core.errors import DomainError
from app.models.coupons import TemplateState

EDITABLE = {TemplateState.DRAFT, TemplateState.INACTIVE}
MOVES = {
    (TemplateState.DRAFT, TemplateState.ACTIVE),
    (TemplateState.ACTIVE, TemplateState.INACTIVE),
    (TemplateState.INACTIVE, TemplateState.ACTIVE),
    (TemplateState.INACTIVE, TemplateState.ARCHIVED),
    (TemplateState.DRAFT, TemplateState.ARCHIVED),
}
"""Nothing is deleted, and what was archived stays so."""
MOVE_WORDS = {
    TemplateState.ACTIVE: "activate",
    TemplateState.INACTIVE: "deactivate",
    TemplateState.ARCHIVED: "archive",
}


class CouponNotEditable(DomainError):
    """What is active is deactivated before it is edited; what is archived stays as it was."""

    def __init__(self, state: TemplateState) -> None:
        self.state = state
        super().__init__(f"This is {state.lower()} and cannot be edited.")


class CouponStateUnchangeable(DomainError):
    """A state cannot follow another."""

    def __init__(self, current: TemplateState, wanted: TemplateState) -> None:
        self.current = current
        super().__init__(f"What is {current.lower()} cannot become {wanted.lower()}.")


def require_editable(state: TemplateState) -> None:
    """Raise `CouponNotEditable` unless something in this state can be edited."""
    if state not in EDITABLE:
        raise CouponNotEditable(state)


def require_move(current: TemplateState, wanted: TemplateState) -> None:
    """Raise `CouponStateUnchangeable` unless one state can follow the other."""
    if (current, wanted) not in MOVES:
        raise CouponStateUnchangeable(current, wanted)
