"""What a plan says about the value it brings, kept with the order: later edits change nothing.

A document, because nothing queries inside it; the lots get their part of it as `Lot.restriction`.
"""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.points_expiry import local_day, start_of_day
from app.models.top_ups import TopUpPlan
from app.services import coupons
from app.services.top_ups import rules

Terms = dict[str, Any]

NO_TERMS: Terms = {
    "items": None,
    "node_ids": None,
    "same_day_share_bp": None,
    "bonus_on_the_day": True,
    "bonus_valid_days": None,
    "granted_tier_id": None,
    "granted_months": None,
    "gifts": [],
    "benefit_ids": [],
    "benefit_days": None,
}
"""Those of value that comes without a plan."""


def of_plan(plan: TopUpPlan, *, is_first: bool) -> Terms:
    """The terms of an order made by the plan now; a member's first top-up brings more gifts
    (TOP-3, TOP-4).
    """
    return {
        "items": plan.spending_items,
        "node_ids": plan.spending_node_ids,
        "same_day_share_bp": plan.same_day_share_bp,
        "bonus_on_the_day": plan.bonus_on_the_day,
        "bonus_valid_days": plan.bonus_valid_days,
        "granted_tier_id": None if plan.granted_tier_id is None else str(plan.granted_tier_id),
        "granted_months": plan.granted_months,
        "gifts": [*plan.gifts, *(plan.first_gifts if is_first else [])],
        "benefit_ids": plan.benefit_ids,
        "benefit_days": plan.benefit_days,
    }


def granted_tier_id(terms: Terms) -> UUID | None:
    """The tier that comes with the top-up."""
    given = terms["granted_tier_id"]
    return None if given is None else UUID(given)


def gifts(terms: Terms) -> list[coupons.Gift]:
    """The coupons that come with the top-up. Orders of before there were any do not say so."""
    return [coupons.Gift.from_document(each) for each in terms.get("gifts", ())]


def benefit_ids(terms: Terms) -> list[UUID]:
    """The benefits that come with it."""
    return [UUID(each) for each in terms.get("benefit_ids", ())]


def benefits_end_at(terms: Terms, *, at: datetime) -> datetime | None:
    """Until when these stay; None is for good."""
    days = terms.get("benefit_days")
    return None if days is None else at + timedelta(days=days)


def cash_restriction(terms: Terms, *, amount: int, at: datetime, zone: ZoneInfo) -> Terms | None:
    """Where, for what and how far the paid part can be spent (TOP-4, TOP-9); None is anyhow."""
    share_bp = terms["same_day_share_bp"]
    usable = None if share_bp is None else rules.usable_on_the_day(amount, share_bp)
    return _restriction(terms, None if usable == amount else usable, at, zone)


def bonus_restriction(terms: Terms, *, at: datetime, zone: ZoneInfo) -> Terms | None:
    """The same for the bonus, which may have to wait for the next day."""
    return _restriction(terms, None if terms["bonus_on_the_day"] else 0, at, zone)


def bonus_expires_at(terms: Terms, *, at: datetime, zone: ZoneInfo) -> datetime | None:
    """The end of the last day on which the bonus can be spent; None is never."""
    days = terms["bonus_valid_days"]
    if days is None:
        return None
    return start_of_day(local_day(at, zone) + timedelta(days=days + 1), zone)


def _restriction(terms: Terms, usable: int | None, at: datetime, zone: ZoneInfo) -> Terms | None:
    restriction: Terms = {}
    if terms["items"]:
        restriction["items"] = terms["items"]
    if terms["node_ids"]:
        restriction["nodes"] = terms["node_ids"]
    if usable is not None:
        day: date = local_day(at, zone)
        restriction["day"] = {"date": day.isoformat(), "time_zone": zone.key, "usable": usable}
    return restriction or None
