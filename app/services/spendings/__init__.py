"""Bills paid with what is on a card, by stored value or points (TOP-1, TOP-9, PTS-6).

`charging` takes, at once or held first; `returning` gives back to the very lots; `wallet` says
which lots pay and `splitting` how much of each balance; `reading` lists, `checking` proves.
"""

from app.services.spendings.charging import (
    HOLD_MINUTES_DEFAULT,
    HOLD_MINUTES_MAX,
    ITEM_ID_CHARS_MAX,
    LINES_MAX,
    Bill,
    CaptureTooLarge,
    InsufficientBalance,
    NotEnoughPoints,
    PointsBelowMinimum,
    PointsCannotPay,
    PointsCapReached,
    authorise,
    capture,
    charge,
)
from app.services.spendings.checking import check
from app.services.spendings.reading import (
    Done,
    SpendingNotFound,
    history,
    own,
    refunds_by_spending,
    seen_by,
    told,
)
from app.services.spendings.returning import (
    Refunded,
    SpendingNotOpen,
    SpendingRefundedTooOften,
    SpendingRefundTooLarge,
    refund,
    void,
    void_overdue,
)
from app.services.spendings.wallet import Line, Restriction, SameDay

__all__ = [
    "HOLD_MINUTES_DEFAULT",
    "HOLD_MINUTES_MAX",
    "ITEM_ID_CHARS_MAX",
    "LINES_MAX",
    "Bill",
    "CaptureTooLarge",
    "Done",
    "InsufficientBalance",
    "Line",
    "NotEnoughPoints",
    "PointsBelowMinimum",
    "PointsCannotPay",
    "PointsCapReached",
    "Refunded",
    "Restriction",
    "SameDay",
    "SpendingNotFound",
    "SpendingNotOpen",
    "SpendingRefundTooLarge",
    "SpendingRefundedTooOften",
    "authorise",
    "capture",
    "charge",
    "check",
    "history",
    "own",
    "refund",
    "refunds_by_spending",
    "seen_by",
    "told",
    "void",
    "void_overdue",
]
