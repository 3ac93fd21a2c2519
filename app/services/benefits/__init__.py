"""Benefits: what members enjoy by scheme and tier, and what a card was given (BEN-1…BEN-4).

`details` has the fields of the ten types and `terms` a benefit as it holds for a card, whether
read from its rows or from a grant; `granting` gives benefits to cards; `bills` reckons what one
takes off a bill, and `holding` says which hold here and now and why others do not.
"""

from app.services.benefits.bills import Bill, BillLine, Gives
from app.services.benefits.granting import BenefitNotFound, by_ids, end_grants, grant, require
from app.services.benefits.holding import (
    Answer,
    BenefitObstacle,
    BenefitObstacleReason,
    Held,
    Holding,
    Withheld,
    held,
    holding,
)
from app.services.benefits.terms import Terms

__all__ = [
    "Answer",
    "BenefitNotFound",
    "BenefitObstacle",
    "BenefitObstacleReason",
    "Bill",
    "BillLine",
    "Gives",
    "Held",
    "Holding",
    "Terms",
    "Withheld",
    "by_ids",
    "end_grants",
    "grant",
    "held",
    "holding",
    "require",
]
