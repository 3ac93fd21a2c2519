"""What a scheme's points are subject to, and what of a card's expires (PTS-4 to PTS-9)."""

from datetime import datetime
from typing import Self

import strawberry

from app.core.points_expiry import PointsExpiry
from app.models import cards as rows
from app.models.staff import Permission
from app.services import points
from schema.context import Info
from schema.enums import describe
from schema.problems import Problem
from schema.scalars import Long, Money

describe(
    PointsExpiry,
    "How long points last.",
    {
        "PERMANENT": "For good.",
        "MONTHLY": "So many months, and until the end of the last one.",
        "DAILY": "So many months, to the day, and until the end of that day.",
        "YEARLY": "So many years, and until the next 1 January; 0 is the next 1 January.",
        "WITH_TIER": "As long as the card's tier.",
        "ROLLING": "So many months from the day of the last purchase, each time anew.",
    },
)


@strawberry.type(description="How long points last, counted in the scheme's time zone.")
class PointsExpiryRule:
    rule: PointsExpiry = strawberry.field(description="The rule.")
    count: int = strawberry.field(
        description="Its months, or years of YEARLY; 0 where the rule has none."
    )

    @classmethod
    def of(cls, row: rows.Scheme) -> Self:
        return cls(rule=row.points_expiry, count=row.points_expiry_count)


@strawberry.type(description="How points pay.")
class PointsPaymentRule:
    points: int = strawberry.field(description="So many points …")
    worth: Money = strawberry.field(description="… pay this.")
    share_basis_points: int = strawberry.field(
        description="How much of a bill they can pay at most, in hundredths of a percent."
    )
    amount_max: Money | None = strawberry.field(
        description="The most they pay of one bill; null is without such a limit."
    )
    points_min: int = strawberry.field(description="Fewer than this pay nothing.")

    @classmethod
    def of_scheme(cls, row: rows.Scheme) -> Self | None:
        rule = points.PointsRules.of(row).payment
        if rule is None:
            return None
        most = rule.amount_max
        return cls(
            points=rule.points,
            worth=Money.of(rule.worth, row.currency),
            share_basis_points=rule.share_bp,
            amount_max=None if most is None else Money.of(most, row.currency),
            points_min=rule.points_min,
        )


@strawberry.type(description="Points that nobody uses become fewer.")
class PointsDecayRule:
    after_months: int = strawberry.field(
        description="How many months without earning or spending it takes."
    )
    basis_points: int = strawberry.field(
        description="What is cleared of them each month, in hundredths of a percent."
    )


@strawberry.type(description="What is more than believable in a day.")
class PointsAbnormalRule:
    above: Long = strawberry.field(
        description="Who earns more than this on a card in a day is marked."
    )
    blocks_earning: bool = strawberry.field(
        description="Whether the card earns no points until the mark is cleared."
    )
    blocks_spending: bool = strawberry.field(
        description="Whether its points cannot be spent until then."
    )
    mail_to: list[str] = strawberry.field(
        description="Who gets the cases of the day before, at 00:00; at most 10."
    )


@strawberry.type(name="PointsRules", description="What members should know of their points.")
class OpenPointsRules:
    expiry: PointsExpiryRule = strawberry.field(description="How long they last.")
    payment: PointsPaymentRule | None = strawberry.field(
        description="How they pay; null where they pay nothing."
    )

    @classmethod
    def of(cls, row: rows.Scheme) -> Self:
        return cls(expiry=PointsExpiryRule.of(row), payment=PointsPaymentRule.of_scheme(row))


@strawberry.type(description="What the points of a scheme are subject to.")
class PointsRules:
    expiry: PointsExpiryRule = strawberry.field(description="How long they last.")
    payment: PointsPaymentRule | None = strawberry.field(
        description="How they pay; null where they pay nothing."
    )
    cost_per_thousand: Money = strawberry.field(description="What 1,000 points cost the group.")
    decay: PointsDecayRule | None = strawberry.field(
        description="What happens to those nobody uses; null is nothing."
    )
    row: strawberry.Private[rows.Scheme]

    @classmethod
    def of(cls, row: rows.Scheme) -> Self:
        decay = points.PointsRules.of(row).decay
        return cls(
            expiry=PointsExpiryRule.of(row),
            payment=PointsPaymentRule.of_scheme(row),
            cost_per_thousand=Money.of(row.points_cost_per_thousand, row.currency),
            decay=PointsDecayRule(after_months=decay.after_months, basis_points=decay.share_bp)
            if decay
            else None,
            row=row,
        )

    @strawberry.field(
        description="What marks a member abnormal; null where nothing does, and for those without"
        " `schemes:write` where the scheme was made: who knows the limit can stay below it."
    )
    async def abnormal(self, info: Info) -> PointsAbnormalRule | None:
        rule = points.PointsRules.of(self.row).abnormal
        perspective = await info.context.loaders.node.load(self.row.perspective_id)
        actor = await info.context.actor()
        if rule is None or not actor.may(Permission.SCHEMES_WRITE, perspective):
            return None
        return PointsAbnormalRule(
            above=Long(rule.above),
            blocks_earning=rule.blocks_earning,
            blocks_spending=rule.blocks_spending,
            mail_to=list(rule.mail_to),
        )


@strawberry.type(description="Points of a card that are cleared at one moment.")
class ExpiringPoints:
    amount: Long = strawberry.field(description="How many.")
    expires_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, row: points.Expiring) -> Self:
        return cls(amount=Long(row.amount), expires_at=row.expires_at)


@strawberry.type(
    description="Points on this card cannot be spent: its holder earned more than is believable,"
    " and staff have to look into it."
)
class PointsBlocked(Problem): ...
