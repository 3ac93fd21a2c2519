"""What the clock brings about all the time, a batch in a transaction: expiry, mostly.

Unlike a routine a duty has no set time: it looks for what is due, in whatever group.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from app.core.db import Transaction
from app.services import coupons, files, ledger, member_records, shop, spendings, student_ids, tiers
from app.services.coupons import handovers
from app.services.gift_cards import gifts
from app.services.packages import owning
from app.services.top_ups import orders, smart

Duty = Callable[..., Coroutine[Any, Any, int]]
"""`(tx, *, now)`: does one batch of what is due and says how much that was; 0 ends the round."""


async def expire_lots(tx: Transaction, *, now: datetime) -> int:
    """Points and stored value whose time is over (PTS-4, TOP-9)."""
    return len(await ledger.expire_due(tx, now=now))


async def begin_packages(tx: Transaction, *, now: datetime) -> int:
    """Packages whose time has come; before tiers expire, so that a renewal keeps its tier."""
    return await owning.begin_due(tx, now=now)


async def end_packages(tx: Transaction, *, now: datetime) -> int:
    """Packages whose time is over (BEN-7)."""
    return await owning.end_due(tx, now=now)


async def remind_of_packages(tx: Transaction, *, now: datetime) -> int:
    """Packages that end soon and were not renewed."""
    return await owning.remind_due(tx, now=now)


async def expire_tiers(tx: Transaction, *, now: datetime) -> int:
    """Tiers whose time is over (TIR-4)."""
    return await tiers.expire_due(tx, now=now)


async def void_spendings(tx: Transaction, *, now: datetime) -> int:
    """What was authorised and never captured (TOP-9)."""
    return await spendings.void_overdue(tx, now=now)


async def cancel_top_ups(tx: Transaction, *, now: datetime) -> int:
    """Orders nobody paid in time (TOP-7)."""
    return await orders.cancel_overdue(tx, now=now)


async def cancel_orders(tx: Transaction, *, now: datetime) -> int:
    """Orders of anything else that nobody paid in time (TOP-7)."""
    return await shop.cancel_overdue(tx, now=now)


async def release_quotes(tx: Transaction, *, now: datetime) -> int:
    """Offers nobody took in time, with the stock they hold (TOP-5)."""
    return await smart.release_overdue(tx, now=now)


async def release_coupons(tx: Transaction, *, now: datetime) -> int:
    """Coupons that a bill held for too long (CPN-3)."""
    return await coupons.release_overdue(tx, now=now)


async def expire_coupons(tx: Transaction, *, now: datetime) -> int:
    """Coupons whose time is over (CPN-3)."""
    return await coupons.expire_due(tx, now=now)


async def remind_of_coupons(tx: Transaction, *, now: datetime) -> int:
    """Coupons whose time is over in three days (CPN-3)."""
    return await coupons.remind_due(tx, now=now)


async def index_names(tx: Transaction, *, now: datetime) -> int:
    """Names that an earlier release wrote without an index to find them by (MEM-1)."""
    return await member_records.index_names(tx, now=now)


async def end_handovers(tx: Transaction, *, now: datetime) -> int:
    """Coupons whose links no friend opened in time (CPN-6)."""
    return await handovers.end_overdue(tx, now=now)


async def forget_files(tx: Transaction, *, now: datetime) -> int:
    """Pictures that were uploaded and then never used."""
    return await files.forget_unused(tx, now=now)


async def deliver_gifts(tx: Transaction, *, now: datetime) -> int:
    """Gift cards whose day has come (GFT-3)."""
    return await gifts.deliver_due(tx, now=now)


async def return_gifts(tx: Transaction, *, now: datetime) -> int:
    """Gift cards that nobody claimed in time (GFT-3)."""
    return await gifts.return_unclaimed(tx, now=now)


async def expire_student_ids(tx: Transaction, *, now: datetime) -> int:
    """Student IDs whose time is over, with their tags (STU-3)."""
    return await student_ids.expire_due(tx, now=now)


async def remind_of_student_ids(tx: Transaction, *, now: datetime) -> int:
    """Student IDs that end soon (STU-2)."""
    return await student_ids.remind_due(tx, now=now)


async def withdraw_lapsed_students(tx: Transaction, *, now: datetime) -> int:
    """Verifications from which the outside verifier sent nobody back (STU-1)."""
    return await student_ids.withdraw_lapsed(tx, now=now)


DUTIES: tuple[Duty, ...] = (
    expire_lots,
    begin_packages,
    end_packages,
    remind_of_packages,
    expire_tiers,
    void_spendings,
    cancel_top_ups,
    cancel_orders,
    release_quotes,
    deliver_gifts,
    return_gifts,
    end_handovers,
    forget_files,
    release_coupons,
    expire_coupons,
    remind_of_coupons,
    index_names,
    expire_student_ids,
    remind_of_student_ids,
    withdraw_lapsed_students,
)
