"""Benefits: what members enjoy by scheme and tier, and what a card was given (BEN-1…BEN-4).

`details` has the fields of the ten types and `terms` a benefit as it holds for a card, whether
read from its rows or from a grant; `checking` says what a benefit may say and `editing` makes,
changes and lists them for the back office; `granting` gives benefits to cards; `bills` reckons what
one takes off a bill, `holding` says which hold here and now and why others do not, `asking` who may
know, and `multiplying` what a purchase's points are multiplied by.
"""

from app.services.benefits.asking import Question, for_holder, for_reader
from app.services.benefits.bills import Bill, BillLine, Gives
from app.services.benefits.checking import CardsNeverExpire, Content
from app.services.benefits.editing import (
    BenefitStateUnchangeable,
    Operator,
    TooManyActiveBenefits,
    change,
    create,
    move,
    operators,
    page,
    seen_by,
)
from app.services.benefits.granting import BenefitNotFound, by_ids, end_grants, grant, require
from app.services.benefits.holding import (
    Answer,
    BenefitObstacle,
    BenefitObstacleReason,
    Held,
    Holding,
    Withheld,
    as_they_are,
    held,
    holding,
)
from app.services.benefits.multiplying import multiplier
from app.services.benefits.terms import Terms

__all__ = [
    "Answer",
    "BenefitNotFound",
    "BenefitObstacle",
    "BenefitObstacleReason",
    "BenefitStateUnchangeable",
    "Bill",
    "BillLine",
    "CardsNeverExpire",
    "Content",
    "Gives",
    "Held",
    "Holding",
    "Operator",
    "Question",
    "Terms",
    "TooManyActiveBenefits",
    "Withheld",
    "as_they_are",
    "by_ids",
    "change",
    "create",
    "end_grants",
    "for_holder",
    "for_reader",
    "grant",
    "held",
    "holding",
    "move",
    "multiplier",
    "operators",
    "page",
    "require",
    "seen_by",
]
