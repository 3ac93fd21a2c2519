"""Paying with points: what they are worth (PTS-6)."""

from app.models.cards import Scheme


def worth(scheme: Scheme, points: int) -> int:
    """What so many points pay, in minor units of the scheme's currency, rounded down; 0 where the
    scheme lets points pay nothing."""
    if not scheme.points_worth_points:
        return 0
    return points * scheme.points_worth_amount // scheme.points_worth_points


def needed(scheme: Scheme, amount: int) -> int:
    """The fewest points that pay an amount in minor units, where points pay at all."""
    assert scheme.points_worth_points, "points of this scheme pay nothing"
    return -(-amount * scheme.points_worth_points // scheme.points_worth_amount)
