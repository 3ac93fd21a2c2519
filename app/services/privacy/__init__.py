"""What members may ask of their data (IDN-8): all of it, and that it is gone.

`exporting` makes one document of everything, `closing` ends an account. What the law has us keep
of a closed one docs/operations.md says.
"""

from app.services.privacy.closing import (
    Balance,
    BalanceLeft,
    BillOpen,
    OrderPending,
    RedemptionAwaited,
    TopUpPending,
    close,
)
from app.services.privacy.exporting import EXPORT_ROWS_MAX, export

__all__ = [
    "EXPORT_ROWS_MAX",
    "Balance",
    "BalanceLeft",
    "BillOpen",
    "OrderPending",
    "RedemptionAwaited",
    "TopUpPending",
    "close",
    "export",
]
