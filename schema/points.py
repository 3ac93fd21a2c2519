"""Rules of points, suspicion and roll-backs, as the back office handles them (PTS)."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.core.money import BASIS_POINTS
from app.core.points_expiry import PointsExpiry
from app.models.behaviour import PointsCase as PointsCaseRow
from app.models.ledger import PostingKind
from app.services import points, rollbacks
from app.services.points import Payment
from schema.cards import Card
from schema.context import Info
from schema.ledger import BalanceTooLarge
from schema.pages import Connection
from schema.points_rules import PointsBlocked
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import Long
from schema.schemes import Scheme, SchemeNotFound


@strawberry.input(description="How long points last, counted in the scheme's time zone.")
class PointsExpiryInput:
    rule: PointsExpiry = strawberry.field(description="The rule.")
    count: int = strawberry.field(
        default=0,
        description="Months, 0 to 120, of MONTHLY, DAILY and ROLLING; years, 0 to 20, of YEARLY."
        " The others do not read it.",
    )


@strawberry.input(description="How points pay.")
class PointsPaymentInput:
    points: Long = strawberry.field(description="So many points, 1 to 1,000,000,000 …")
    worth: Long = strawberry.field(
        description="… pay so many minor units of the scheme's currency, at least 1."
    )
    share_basis_points: int = strawberry.field(
        default=BASIS_POINTS,
        description="How much of a bill they can pay at most, in hundredths of a percent, 1 to"
        " 10,000.",
    )
    amount_max: Long | None = strawberry.field(
        default=None, description="The most they pay of one bill, in minor units; null is no limit."
    )
    points_min: Long = strawberry.field(
        default=Long(0), description="Fewer than this pay nothing, 0 to 1,000,000,000."
    )

    def rule(self) -> Payment:
        return Payment(
            points=self.points,
            worth=self.worth,
            share_bp=self.share_basis_points,
            amount_max=self.amount_max,
            points_min=self.points_min,
        )


@strawberry.input(description="Points that nobody uses become fewer.")
class PointsDecayInput:
    after_months: int = strawberry.field(
        description="How many months without earning or spending it takes, 1 to 120."
    )
    basis_points: int = strawberry.field(
        description="What is cleared of them each month, in hundredths of a percent, 1 to 10,000."
    )


@strawberry.input(description="What is more than believable in a day.")
class PointsAbnormalInput:
    above: Long = strawberry.field(
        description="Who earns more than this on a card in a day is marked; at least 1."
    )
    blocks_earning: bool = strawberry.field(
        default=False, description="Whether the card earns no points until the mark is cleared."
    )
    blocks_spending: bool = strawberry.field(
        default=False, description="Whether its points cannot be spent until then."
    )
    mail_to: list[str] = strawberry.field(
        default_factory=list,
        description="Who gets the cases of the day before, at 00:00: e-mail addresses, at most 10.",
    )


@strawberry.input(description="All rules of a scheme's points, as they shall be from now on.")
class PointsRulesSetInput:
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    expiry: PointsExpiryInput = strawberry.field(
        description="How long points last that come from now on; others keep their end."
    )
    payment: PointsPaymentInput | None = strawberry.field(
        default=None, description="How they pay; null is that they pay nothing."
    )
    cost_per_thousand: Long = strawberry.field(
        default=Long(0), description="What 1,000 points cost the group, in minor units."
    )
    decay: PointsDecayInput | None = strawberry.field(
        default=None, description="What happens to those nobody uses; null is nothing."
    )
    abnormal: PointsAbnormalInput | None = strawberry.field(
        default=None, description="What marks a member abnormal; null is nothing."
    )

    def rules(self) -> points.PointsRules:
        """The rules, which the service judges."""
        decay, abnormal = self.decay, self.abnormal
        return points.PointsRules(
            expiry=self.expiry.rule,
            expiry_count=self.expiry.count,
            payment=self.payment.rule() if self.payment else None,
            cost_per_thousand=self.cost_per_thousand,
            decay=points.Decay(decay.after_months, decay.basis_points) if decay else None,
            abnormal=points.Abnormal(
                above=abnormal.above,
                blocks_earning=abnormal.blocks_earning,
                blocks_spending=abnormal.blocks_spending,
                mail_to=abnormal.mail_to,
            )
            if abnormal
            else None,
        )


@strawberry.type(
    description="More points earned on a card in a day than is believable. It marks the member."
)
class PointsCase:
    id: strawberry.ID = strawberry.field(description="Its id, `pcs_…`.")
    business_date: date = strawberry.field(description="The day, in the scheme's time zone.")
    points: Long = strawberry.field(description="What the card earned on it so far.")
    threshold: Long = strawberry.field(description="What it may earn without being marked.")
    marked_at: datetime = strawberry.field(description="When it became too much.")
    is_open: bool = strawberry.field(description="Whether nobody cleared it yet.")
    cleared_at: datetime | None = strawberry.field(description="When somebody did.")
    clearing_reason: str | None = strawberry.field(description="Why they did.")
    card_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, row: PointsCaseRow) -> Self:
        return cls(
            id=strawberry.ID(type_id("pcs", row.id)),
            business_date=row.business_date,
            points=Long(row.points),
            threshold=Long(row.threshold),
            marked_at=row.marked_at,
            is_open=row.cleared_at is None,
            cleared_at=row.cleared_at,
            clearing_reason=row.clearing_reason,
            card_id=row.card_id,
        )

    @strawberry.field(description="The card, or the one it was merged into since.")
    async def card(self, info: Info) -> Card:
        row = await info.context.loaders.living_card.load(self.card_id)
        return Card.of(row, info.context.now)


@strawberry.type(description="A page of cases.")
class PointsCaseConnection(Connection[PointsCase]): ...


@strawberry.type(description="A posting that had used points of what was rolled back.")
class PointsFollower:
    posting_id: strawberry.ID = strawberry.field(description="The posting, `pst_…`.")
    cause: PostingKind = strawberry.field(description="Why it took them.")
    amount: Long = strawberry.field(description="How many of these points it took.")
    occurred_at: datetime = strawberry.field(description="When that was.")
    is_still_authorised: bool = strawberry.field(
        description="Whether it holds them for a bill that is not final: it was left as it is, for"
        " whoever captures or voids it."
    )

    @classmethod
    def of(cls, row: rollbacks.Follower) -> Self:
        return cls(
            posting_id=strawberry.ID(type_id("pst", row.id)),
            cause=row.kind,
            amount=Long(row.amount),
            occurred_at=row.occurred_at,
            is_still_authorised=row.authorised_id is not None,
        )


@strawberry.type(description="The points are gone, and the growth that came with them.")
class PointsRolledBack:
    points: Long = strawberry.field(description="Points that were taken back.")
    growth: Long = strawberry.field(description="Growth that came for the same cause and went too.")
    debt: Long = strawberry.field(
        description="How many of the points were not there any more: what the card earns next"
        " fills it."
    )
    followed: list[PointsFollower] = strawberry.field(
        description="What had used them, oldest first; at most 200."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had done it."
    )
    rolled_back: strawberry.Private[rollbacks.RolledBack]

    @classmethod
    def of(cls, row: rollbacks.RolledBack) -> Self:
        return cls(
            points=Long(row.points),
            growth=Long(row.growth),
            debt=Long(row.debt),
            followed=[PointsFollower.of(each) for each in row.followers],
            replayed=row.is_replay,
            rolled_back=row,
        )

    @strawberry.field(description="The card afterwards: its tier has followed its growth.")
    def card(self, info: Info) -> Card:
        return Card.of(self.rolled_back.card, info.context.now)


@strawberry.type(description="There is no such case.")
class PointsCaseNotFound(Problem): ...


@strawberry.type(description="Somebody cleared the case before.")
class PointsCaseCleared(Problem):
    since: datetime = strawberry.field(description="Since when it is cleared.")

    @classmethod
    def of(cls, error: points.PointsCaseCleared) -> Self:
        return cls(message=str(error), since=error.cleared_at)


@strawberry.type(description="There is no such movement on a card.")
class LedgerLineNotFound(Problem): ...


@strawberry.type(description="Only points that were earned or came with a top-up are rolled back.")
class NotToRollBack(Problem):
    cause: PostingKind = strawberry.field(description="Why the value moved.")

    @classmethod
    def of(cls, error: rollbacks.NotToRollBack) -> Self:
        return cls(message=str(error), cause=error.kind)


@strawberry.type(description="This was rolled back before.")
class AlreadyRolledBack(Problem):
    rolled_back_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, error: rollbacks.AlreadyRolledBack) -> Self:
        return cls(message=str(error), rolled_back_at=error.rolled_back_at)


@strawberry.type(description="All of it was taken back or has expired.")
class NothingToRollBack(Problem): ...


@strawberry.input(description="A case that somebody looked into.")
class PointsCaseClearInput:
    id: strawberry.ID = strawberry.field(description="The case, `pcs_…`.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")


@strawberry.input(description="Points that came by fraud.")
class PointsRollBackInput:
    ledger_line_id: strawberry.ID = strawberry.field(
        description="A line of what brought them, `led_…`: a purchase, an event or a top-up."
    )
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the client makes up: sent again, it answers the same."
    )


PointsRulesSetResult = Annotated[
    Scheme | SchemeNotFound,
    strawberry.union("PointsRulesSetResult", description="The scheme as it is now, or why not."),
]
PointsCaseClearResult = Annotated[
    PointsCase | PointsCaseNotFound | PointsCaseCleared,
    strawberry.union("PointsCaseClearResult", description="The case as it is now, or why not."),
]
PointsRollBackResult = Annotated[
    PointsRolledBack
    | LedgerLineNotFound
    | NotToRollBack
    | AlreadyRolledBack
    | NothingToRollBack
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("PointsRollBackResult", description="What was taken, or why nothing was."),
]

HANDLERS = [
    shown_as(PointsBlocked, points.PointsBlocked),
    shown_as(PointsCaseNotFound, points.PointsCaseNotFound),
    shown_as(PointsCaseCleared, points.PointsCaseCleared),
    shown_as(LedgerLineNotFound, rollbacks.LedgerLineNotFound),
    shown_as(NotToRollBack, rollbacks.NotToRollBack),
    shown_as(AlreadyRolledBack, rollbacks.AlreadyRolledBack),
    shown_as(NothingToRollBack, rollbacks.NothingToRollBack),
]
