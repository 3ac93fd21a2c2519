"""Coupons at the till, and online through partners (CPN-3, CPN-4)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import parse_type_id
from app.models.coupons import CouponUseState
from app.services.coupons import values
from app.services.coupons.redeeming import judging, returning, using
from schema.coupons.bills import CouponBillInput
from schema.coupons.records import Coupon, CouponUse
from schema.organisation import NodeNotFound, TerminalNotFound
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import CurrencyCode, Money
from schema.scopes import NotAvailable

_REQUEST_KEY = "1 to 64 characters the till makes up: sent again, it answers the same."
_TERMINAL = "The till, `term_…`; null is online."
_STORE = "Online: for which store, `node_…`; null is for none."


@strawberry.type(description="A coupon that can be used here and now.")
class CouponChecked:
    coupon: Coupon = strawberry.field(description="The coupon.")
    takes_off: Money | None = strawberry.field(
        description="What it takes off the bill; null where none was told."
    )
    outside_id: str | None = strawberry.field(
        description="What the system that redeems it here calls this kind of coupon."
    )

    @classmethod
    def of(cls, judged: judging.Judged, *, is_online: bool, now: datetime) -> Self:
        terms, value = judged.terms, judged.value
        return cls(
            coupon=Coupon.of(judged.coupon, now),
            takes_off=None if value is None else Money.of(value.takes_off, terms.currency),
            outside_id=terms.online_outside_id if is_online else terms.pos_outside_id,
        )


@strawberry.type(description="What a bill did with a coupon.")
class CouponTaken:
    use: CouponUse = strawberry.field(description="The bill's hold on it.")
    coupon: Coupon = strawberry.field(description="The coupon, as it is now.")
    replayed: bool = strawberry.field(description="Whether an earlier request had done so.")

    @classmethod
    def of(cls, taken: using.Taken, now: datetime) -> Self:
        return cls(
            use=CouponUse.of(taken.use),
            coupon=Coupon.of(taken.coupon, now),
            replayed=taken.is_replay,
        )


@strawberry.type(description="No coupon has this code. Too many tries end for some minutes.")
class CouponCodeRefused(Problem): ...


@strawberry.type(description="The coupon was used.")
class CouponUsed(Problem):
    used_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, error: judging.CouponUsed) -> Self:
        return cls(message=str(error), used_at=error.used_at)


@strawberry.type(description="The coupon's time is over.")
class CouponExpired(Problem):
    expired_at: datetime = strawberry.field(description="Since when.")

    @classmethod
    def of(cls, error: judging.CouponExpired) -> Self:
        return cls(message=str(error), expired_at=error.expired_at)


@strawberry.type(description="The coupon's time has not come.")
class CouponNotYetValid(Problem):
    valid_from: datetime = strawberry.field(description="From when it can be used.")

    @classmethod
    def of(cls, error: judging.CouponNotYetValid) -> Self:
        return cls(message=str(error), valid_from=error.valid_from)


@strawberry.type(description="Another bill holds the coupon.")
class CouponLocked(Problem):
    until: datetime = strawberry.field(description="Until when, at the latest.")

    @classmethod
    def of(cls, error: judging.CouponLocked) -> Self:
        return cls(message=str(error), until=error.until)


@strawberry.type(
    description="What the coupon was given for was undone, it was issued by mistake, or its holder"
    " is gone."
)
class CouponWithdrawn(Problem): ...


@strawberry.type(description="The coupon is on its way to a friend of its holder.")
class CouponHandedOver(Problem): ...


@strawberry.type(description="The coupon is for bills in another currency.")
class BillInOtherCurrency(Problem):
    currency: CurrencyCode = strawberry.field(description="In which.")

    @classmethod
    def of(cls, error: values.BillInOtherCurrency) -> Self:
        return cls(message=str(error), currency=CurrencyCode(error.currency))


@strawberry.type(description="Less is bought of what the coupon is for than it asks.")
class BillTooSmall(Problem):
    minimum: Money = strawberry.field(description="How much must be bought.")
    short_by: Money = strawberry.field(description="How much is missing.")

    @classmethod
    def of(cls, error: values.BillTooSmall) -> Self:
        minimum, short_by = error.minimum, error.short_by
        return cls(
            message=str(error),
            minimum=Money.of(minimum.amount, minimum.currency),
            short_by=Money.of(short_by.amount, short_by.currency),
        )


@strawberry.type(description="Nothing on the bill is what the coupon is for.")
class NothingToTakeOff(Problem): ...


@strawberry.type(description="This outside coupon id stands for another coupon.")
class OutsideCouponIdTaken(Problem): ...


@strawberry.type(description="There is no such use of a coupon, or it is another partner's.")
class CouponUseNotFound(Problem): ...


@strawberry.type(description="The bill does not hold the coupon any more.")
class CouponUseNotOpen(Problem):
    state: CouponUseState = strawberry.field(description="What became of it.")

    @classmethod
    def of(cls, error: returning.CouponUseNotOpen) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.input
class _AskedInput:
    """A code, and where it is shown."""

    code: str = strawberry.field(description="The 20 digits; blanks and dashes do not matter.")
    terminal_id: strawberry.ID | None = strawberry.field(default=None, description=_TERMINAL)
    store_id: strawberry.ID | None = strawberry.field(default=None, description=_STORE)

    def at(self) -> judging.Asked:
        """Where; raises `BadInput`."""
        terminal_id, store_id = self.terminal_id, self.store_id
        return judging.Asked(
            terminal_id=parse_type_id("term", terminal_id) if terminal_id else None,
            store_id=parse_type_id("node", store_id) if store_id else None,
        )


@strawberry.input(description="A coupon somebody shows.")
class CouponCheckInput(_AskedInput):
    bill: CouponBillInput | None = strawberry.field(
        default=None, description="The bill it would be used for, to know what it takes off."
    )


@strawberry.input(description="A coupon to hold for a bill.")
class CouponLockInput(_AskedInput):
    order_number: str = strawberry.field(
        description="The bill's number in the outside system, 1 to 64 characters."
    )
    request_key: str = strawberry.field(description=_REQUEST_KEY)
    minutes: int = strawberry.field(
        default=using.LOCK_MINUTES_DEFAULT,
        description=f"For how long, 1 to {using.LOCK_MINUTES_MAX}.",
    )
    outside_coupon_id: str | None = strawberry.field(
        default=None,
        description="What the outside system calls this very coupon, 1 to 64 characters; it"
        " stands for no other coupon of the same partner or cashier.",
    )
    bill: CouponBillInput | None = strawberry.field(
        default=None, description="The bill, if it is known already."
    )

    def wanted(self) -> using.Wanted:
        return using.Wanted(
            at=self.at(),
            code=self.code,
            order_number=self.order_number,
            bill=self.bill.bill() if self.bill else None,
            outside_coupon_id=self.outside_coupon_id,
        )


@strawberry.input(description="A coupon to use for a bill.")
class CouponUseInput(_AskedInput):
    order_number: str = strawberry.field(
        description="The bill's number in the outside system, 1 to 64 characters. A bill that"
        " holds the coupon uses it by the same number."
    )
    bill: CouponBillInput = strawberry.field(description="The bill.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)
    outside_coupon_id: str | None = strawberry.field(
        default=None,
        description="What the outside system calls this very coupon, 1 to 64 characters; it"
        " stands for no other coupon of the same partner or cashier.",
    )

    def wanted(self) -> using.Wanted:
        return using.Wanted(
            at=self.at(),
            code=self.code,
            order_number=self.order_number,
            bill=self.bill.bill(),
            outside_coupon_id=self.outside_coupon_id,
        )


@strawberry.input(description="A hold on a coupon to let go.")
class CouponReleaseInput:
    use_id: strawberry.ID = strawberry.field(description="What locked it, `cpu_…`.")


@strawberry.input(description="A coupon to give back, whose bill was voided.")
class CouponReturnInput:
    use_id: strawberry.ID = strawberry.field(description="What used it, `cpu_…`.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


CouponCheckResult = Annotated[
    CouponChecked
    | CouponCodeRefused
    | CouponUsed
    | CouponExpired
    | CouponNotYetValid
    | CouponLocked
    | CouponWithdrawn
    | CouponHandedOver
    | NotAvailable
    | BillInOtherCurrency
    | BillTooSmall
    | NothingToTakeOff
    | TerminalNotFound
    | NodeNotFound,
    strawberry.union("CouponCheckResult", description="The coupon, or why it cannot be used."),
]
CouponTakeResult = Annotated[
    CouponTaken
    | CouponCodeRefused
    | CouponUsed
    | CouponExpired
    | CouponNotYetValid
    | CouponLocked
    | CouponWithdrawn
    | CouponHandedOver
    | NotAvailable
    | BillInOtherCurrency
    | BillTooSmall
    | NothingToTakeOff
    | OutsideCouponIdTaken
    | TerminalNotFound
    | NodeNotFound
    | RequestKeyReused,
    strawberry.union("CouponTakeResult", description="What the bill did, or why it could not."),
]
CouponReleaseResult = Annotated[
    CouponTaken | CouponUseNotFound | CouponUseNotOpen | CouponUsed,
    strawberry.union("CouponReleaseResult", description="The coupon now, or why not."),
]
CouponReturnResult = Annotated[
    CouponTaken | CouponUseNotFound | CouponUseNotOpen | RequestKeyReused,
    strawberry.union("CouponReturnResult", description="The coupon now, or why not."),
]

TILL_PROBLEMS = [
    shown_as(CouponCodeRefused, judging.CouponCodeRefused),
    shown_as(CouponUsed, judging.CouponUsed),
    shown_as(CouponExpired, judging.CouponExpired),
    shown_as(CouponNotYetValid, judging.CouponNotYetValid),
    shown_as(CouponLocked, judging.CouponLocked),
    shown_as(CouponWithdrawn, judging.CouponWithdrawn),
    shown_as(CouponHandedOver, judging.CouponHandedOver),
    shown_as(BillInOtherCurrency, values.BillInOtherCurrency),
    shown_as(BillTooSmall, values.BillTooSmall),
    shown_as(NothingToTakeOff, values.NothingToTakeOff),
    shown_as(OutsideCouponIdTaken, using.OutsideCouponIdTaken),
    shown_as(CouponUseNotFound, returning.CouponUseNotFound),
    shown_as(CouponUseNotOpen, returning.CouponUseNotOpen),
]
