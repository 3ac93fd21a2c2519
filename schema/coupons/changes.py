"""Changes of coupons by staff, of many at once or of one that was withdrawn (CPN-5)."""

from datetime import date, datetime
from typing import Annotated, Any, Self

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import coupons as rows
from app.models.coupons import ChangeState
from app.services.coupons import changes
from schema.context import Info
from schema.coupons.gifts import CouponTemplateNotFound
from schema.enums import describe
from schema.pages import (
    PAGE_SIZE_DEFAULT,
    After,
    Connection,
    First,
    cursor_of,
    page_limit,
    row_after,
)
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused

describe(
    ChangeState,
    "Whether a change is done.",
    {"RUNNING": "Jobs work on it.", "DONE": "All of its coupons were seen."},
    name="CouponChangeState",
)


@strawberry.type(description="What of a coupon a change touches; what is null stays as it was.")
class CouponValues:
    valid_until: datetime | None = strawberry.field(
        description="The first moment at which it cannot be used any more."
    )
    title: str | None = strawberry.field(description="Its title.")
    subtitle: str | None = strawberry.field(description="The line below.")
    instructions: str | None = strawberry.field(description="How to use it.")

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        until = values.get("valid_until")
        return cls(
            valid_until=None if until is None else datetime.fromisoformat(until),
            title=values.get("title"),
            subtitle=values.get("subtitle"),
            instructions=values.get("instructions"),
        )


@strawberry.type(description="What a change makes, or made, of one coupon.")
class CouponChangeLine:
    coupon_id: strawberry.ID = strawberry.field(description="The coupon, `cpn_…`.")
    before: CouponValues = strawberry.field(description="The old values of what differs.")
    after: CouponValues = strawberry.field(description="The new values of what differs.")
    differs: bool = strawberry.field(description="False where the coupon stays as it is.")
    revives: bool = strawberry.field(
        description="Whether it had expired and can be used again by it."
    )
    withdraws: bool = strawberry.field(description="Whether it is taken from whoever has it.")

    @classmethod
    def of(cls, row: rows.CouponChangeLine) -> Self:
        return cls(
            coupon_id=strawberry.ID(type_id("cpn", row.coupon_id)),
            before=CouponValues.of(row.before),
            after=CouponValues.of(row.after),
            differs=True,
            revives="state" in row.after and not changes.withdraws(row.after),
            withdraws=changes.withdraws(row.after),
        )

    @classmethod
    def of_effect(cls, effect: changes.Effect) -> Self:
        return cls(
            coupon_id=strawberry.ID(type_id("cpn", effect.coupon.id)),
            before=CouponValues.of(effect.before),
            after=CouponValues.of(effect.after),
            differs=bool(effect.after),
            revives=effect.revives,
            withdraws=effect.withdraws,
        )


@strawberry.type(
    description="A change of coupons of one template: of many, or of one by `couponWithdraw`."
)
class CouponChange:
    id: strawberry.ID = strawberry.field(description="Its id, `cbc_…`.")
    template_id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")
    state: ChangeState = strawberry.field(description="Whether it is done.")
    reason: str = strawberry.field(description="Why, as staff wrote it.")
    number_of_coupons: int = strawberry.field(description="How many there were at its start.")
    number_seen: int = strawberry.field(description="How many were seen so far.")
    number_changed: int = strawberry.field(description="How many of those were changed.")
    created_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it was done.")
    row: strawberry.Private[rows.CouponChange]

    @classmethod
    def of(cls, row: rows.CouponChange) -> Self:
        return cls(
            id=strawberry.ID(type_id("cbc", row.id)),
            template_id=strawberry.ID(type_id("ctpl", row.template_id)),
            state=row.state,
            reason=row.reason,
            number_of_coupons=row.number_of_coupons,
            number_seen=row.number_seen,
            number_changed=row.number_changed,
            created_at=row.created_at,
            finished_at=row.finished_at,
            row=row,
        )

    @strawberry.field(description="The name of who began it; null is a partner's client.")
    async def operator_name(self, info: Info) -> str | None:
        return await info.context.loaders.operator_name.load(self.row.operator_id)

    @strawberry.field(description="What it did so far, coupon by coupon.")
    async def lines(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[CouponChangeLine]:
        found = await info.context.read(
            changes.lines,
            change_id=self.row.id,
            after=row_after(after),
            limit=page_limit(first),
        )
        return Connection[CouponChangeLine].of(
            found, first, CouponChangeLine.of, cursor=lambda row: cursor_of(row.coupon_id)
        )


@strawberry.type(description="What a change would do.")
class CouponChangePreview:
    number_of_coupons: int = strawberry.field(description="How many coupons it would see.")
    sample: list[CouponChangeLine] = strawberry.field(
        description=f"What it would make of the first, at most {changes.SAMPLE}."
    )

    @classmethod
    def of(cls, found: changes.Preview) -> Self:
        return cls(
            number_of_coupons=found.number,
            sample=[CouponChangeLine.of_effect(each) for each in found.sample],
        )


@strawberry.type(description="The change has begun.")
class CouponChangeStarted:
    change: CouponChange = strawberry.field(description="The change.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had begun it."
    )

    @classmethod
    def of(cls, started: changes.Started) -> Self:
        return cls(change=CouponChange.of(started.change), replayed=started.is_replay)


@strawberry.input(description="Which coupons of a template to change.")
class CouponsWantedInput:
    include_expired: bool = strawberry.field(
        default=False,
        description="Expired ones as well: extended beyond now, they live again. What was used or"
        " withdrawn is never changed.",
    )
    issued_from: datetime | None = strawberry.field(
        default=None, description="Issued at or after this moment."
    )
    issued_to: datetime | None = strawberry.field(
        default=None, description="Issued before this moment."
    )
    valid_until_to: datetime | None = strawberry.field(
        default=None, description="Over before this moment."
    )
    tag_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of members with this tag, `tag_…`."
    )

    def wanted(self) -> changes.Wanted:
        """Which coupons; raises `BadInput`."""
        return changes.Wanted(
            states=changes.CHANGEABLE if self.include_expired else changes.IN_HAND,
            issued_from=self.issued_from,
            issued_to=self.issued_to,
            valid_until_to=self.valid_until_to,
            tag_id=None if self.tag_id is None else parse_type_id("tag", self.tag_id),
        )


@strawberry.input(
    description="What becomes of coupons; at least one. A coupon's life is never cut: where it"
    " lasts longer already, it stays. What was issued by mistake is withdrawn."
)
class CouponValuesInput:
    last_day: date | None = strawberry.field(
        default=None, description="The last day they can be used, by the template's clock."
    )
    extend_days: int | None = strawberry.field(
        default=None,
        description=f"Or by how many days each lasts longer, 1 to {changes.EXTEND_DAYS_MAX:,}.",
    )
    title: str | None = strawberry.field(default=None, description="Another title.")
    subtitle: str | None = strawberry.field(default=None, description="Another line below.")
    instructions: str | None = strawberry.field(
        default=None, description="Other words on how to use them."
    )
    withdraw: bool = strawberry.field(
        default=False,
        description="Or take them from whoever has them, for good, and change nothing else. What a"
        " bill holds just now, has used or what is over stays. The stock stays as it is.",
    )

    def change(self) -> changes.Change:
        """What to change; raises `BadInput`."""
        return changes.Change(
            last_day=self.last_day,
            extend_days=self.extend_days,
            title=self.title,
            subtitle=self.subtitle,
            instructions=self.instructions,
            withdraw=self.withdraw,
        )


@strawberry.input(description="A change to look at, or to make.")
class CouponChangeInput:
    template_id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")
    wanted: CouponsWantedInput = strawberry.field(
        default_factory=CouponsWantedInput, description="Which of its coupons."
    )
    values: CouponValuesInput = strawberry.field(description="What becomes of them.")


@strawberry.input(description="A change to make.")
class CouponChangeStartInput(CouponChangeInput):
    reason: str = strawberry.field(description="Why, 1 to 200 characters.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )


@strawberry.type(description="No coupon is as the change asks for.")
class CouponChangeEmpty(Problem): ...


CouponChangeStartResult = Annotated[
    CouponChangeStarted | CouponTemplateNotFound | CouponChangeEmpty | RequestKeyReused,
    strawberry.union("CouponChangeStartResult", description="The change, or why there is none."),
]

CHANGE_PROBLEMS = [shown_as(CouponChangeEmpty, changes.CouponChangeEmpty)]
