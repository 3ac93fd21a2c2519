"""The double-entry ledger (FIN-1, PTS-3): the only code that moves value.

Other services open a `Sheet`, write on it what is taken and put, and close it: one balanced,
immutable posting. `reversals` give back what was taken, `expiring` clears what is over, `checking`
proves the whole.
"""

from app.services.ledger.accounts import (
    GROWTH,
    POINTS,
    Line,
    accounts_of_cards,
    accounts_of_gift_cards,
    lines,
    open_accounts,
    open_gift_card_accounts,
)
from app.services.ledger.checking import Fault, check
from app.services.ledger.expiring import expire_due
from app.services.ledger.histories import CardHistory, Scope, own_and_absorbed
from app.services.ledger.reversals import (
    Against,
    Part,
    give_back,
    set_points_expiry,
)
from app.services.ledger.sheet import (
    BalanceTooLarge,
    Header,
    NotEnoughValue,
    Sheet,
    posting_by_cause,
)

__all__ = [
    "GROWTH",
    "POINTS",
    "Against",
    "BalanceTooLarge",
    "CardHistory",
    "Fault",
    "Header",
    "Line",
    "NotEnoughValue",
    "Part",
    "Scope",
    "Sheet",
    "accounts_of_cards",
    "accounts_of_gift_cards",
    "check",
    "expire_due",
    "give_back",
    "lines",
    "open_accounts",
    "open_gift_card_accounts",
    "own_and_absorbed",
    "posting_by_cause",
    "set_points_expiry",
]
