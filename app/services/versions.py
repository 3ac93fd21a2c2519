"""What two people edit: the second to save is told, instead of undoing the first one's work."""

from app.core.errors import DomainError


class EditedMeanwhile(DomainError):
    """Somebody saved another version after the one this edit began with."""

    def __init__(self, current_version: int) -> None:
        self.current_version = current_version
        super().__init__("Somebody changed this meanwhile. Look at it again before saving.")


def require_version(current: int, *, expected: int) -> None:
    """Raise `EditedMeanwhile` unless the edit began with the version that stands."""
    if current != expected:
        raise EditedMeanwhile(current)
