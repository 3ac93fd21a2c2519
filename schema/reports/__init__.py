"""What finance reads: balances, liabilities, statistics (FIN-2, PTS-8, TOP-10, TOP-11)."""

from typing import Any

from schema.reports.compliance import ComplianceReport
from schema.reports.coupons import CouponReport
from schema.reports.downloads import ReportLink, ReportLinkInput
from schema.reports.gift_cards import GiftCardReport
from schema.reports.points import PointsLiabilityReport
from schema.reports.stored_value import StoredValueReport
from schema.reports.subjects import From, PerspectiveId, To
from schema.reports.top_ups import TopUpStatistics

__all__ = [
    "HANDLERS",
    "ComplianceReport",
    "CouponReport",
    "From",
    "GiftCardReport",
    "PerspectiveId",
    "PointsLiabilityReport",
    "ReportLink",
    "ReportLinkInput",
    "StoredValueReport",
    "To",
    "TopUpStatistics",
]

HANDLERS: list[Any] = []
"""Reports refuse nobody anything that a problem would explain."""
