"""The double-entry ledger (FIN-1, PTS-3): the only code that moves value.

Other services open a `Sheet`, write on it what is taken and put, and close it: one balanced,
immutable posting. `reversals` undo what a posting did, `checking` proves the whole.
"""

from app.services.ledger.accounts import (
    Line,
    Scope,
    accounts_of_cards,
    lines_of_card,
    number_of_lines,
    open_accounts,
)
from app.services.ledger.checking import Fault, check
from app.services.ledger.reversals import return_spending
from app.services.ledger.sheet import (
    BalanceTooLarge,
    Header,
    NotEnoughValue,
    Sheet,
    posting_by_cause,
)

__all__ = [
    "BalanceTooLarge",
    "Fault",
    "Header",
    "Line",
    "NotEnoughValue",
    "Scope",
    "Sheet",
    "accounts_of_cards",
    "check",
    "lines_of_card",
    "number_of_lines",
    "open_accounts",
    "posting_by_cause",
    "return_spending",
]
