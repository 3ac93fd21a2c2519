"""What members are offered of packages, and how one is bought (BEN-5, CRD-9)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import parse_type_id
from app.gateways.payments.protocol import PaymentScene
from app.models.packages import PackageState, PriceReason
from app.services import scopes
from app.services.packages import buying, offering
from schema.card_status import CardNotFound, CardNotUsable
from schema.members import MemberNotFound
from schema.orders import (
    MethodCannotPay,
    OrderPlaced,
    OrderSold,
    PayerUnknown,
    PaymentUnavailable,
    TooManyOpenOrders,
    Undeliverable,
)
from schema.organisation import NodeNotFound, TerminalNotFound
from schema.packages.agreements import AgreementAcceptedInput, AgreementChanged
from schema.packages.packages import OfferedPackage, PackageNotFound, package_id_of
from schema.packages.rules import PackageDuration
from schema.payment_methods import PaymentMethodUnknown
from schema.problems import Problem, shown_as
from schema.purchases import WrongCurrency
from schema.requests import RequestKeyReused
from schema.scalars import Money, MoneyInput
from schema.schemes import NotAtThisStore, SchemeClosed, SchemeHasNoTier, SchemeNotFound
from schema.scopes import NotAvailable


@strawberry.type(description="A sales rule as it stands for one member and card.")
class PackageRuleOffered:
    rule: int = strawberry.field(description="Its place from 0, for `packageOrder`.")
    duration: PackageDuration = strawberry.field(description="How long the package lasts.")
    price: Money = strawberry.field(description="The lowest price that applies now.")
    price_reason: PriceReason = strawberry.field(description="Which price that is.")
    original: Money = strawberry.field(description="The original price.")
    starts_at: datetime = strawberry.field(description="When it would begin, paid now.")
    ends_at: datetime = strawberry.field(description="The first moment without it then.")

    @classmethod
    def of(cls, rule: int, found: offering.RuleOffered, currency: str) -> Self:
        return cls(
            rule=rule,
            duration=PackageDuration.of(found.rule.duration),
            price=Money.of(found.price.amount, currency),
            price_reason=found.price.reason,
            original=Money.of(found.rule.original, currency),
            starts_at=found.period.starts_at,
            ends_at=found.period.ends_at,
        )


@strawberry.type(description="A package that a member can buy, or could once it opens.")
class PackageOffer:
    package: OfferedPackage = strawberry.field(description="The package.")
    rules: list[PackageRuleOffered] = strawberry.field(description="Its sales rules, at most 5.")
    not_available: NotAvailable | None = strawberry.field(
        description="When it opens, if it cannot be bought yet."
    )

    @classmethod
    def of(cls, found: offering.Offered) -> Self:
        refusal = None if found.obstacle is None else scopes.NotAvailable(found.obstacle)
        currency = found.package.currency
        return cls(
            package=OfferedPackage.of(found.package),
            rules=[
                PackageRuleOffered.of(place, each, currency)
                for place, each in enumerate(found.rules)
            ],
            not_available=None if refusal is None else NotAvailable.of(refusal),
        )


@strawberry.input
class _AnyPurchaseInput:
    """What is bought, whether online or at a till."""

    package_id: strawberry.ID = strawberry.field(description="The package, `pkg_…`.")
    rule: int = strawberry.field(description="Which of its sales rules, from 0.")
    price: MoneyInput = strawberry.field(
        description="The price that was shown: another one that applies now is refused."
    )
    card_id: strawberry.ID | None = strawberry.field(
        default=None, description="For which card, `card_…`."
    )
    scheme_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Instead of a card, the scheme whose card buying it opens, `sch_…`.",
    )
    accepted: list[AgreementAcceptedInput] = strawberry.field(
        default_factory=list,
        description="The purchase agreement and terms of use, as the member accepted them.",
    )
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )

    def choice(self) -> buying.Choice:
        """What is bought; raises `BadInput`."""
        card_id, scheme_id = self.card_id, self.scheme_id
        return buying.Choice(
            package_id=parse_type_id("pkg", self.package_id),
            rule=self.rule,
            price=self.price.value(),
            card_id=None if card_id is None else parse_type_id("card", card_id),
            scheme_id=None if scheme_id is None else parse_type_id("sch", scheme_id),
            accepted=tuple(each.accepted() for each in self.accepted),
        )


@strawberry.input(description="A package to order online.")
class PackageOrderInput(_AnyPurchaseInput):
    provider: str = strawberry.field(description="Who takes the money, see `paymentProviders`.")
    scene: PaymentScene = strawberry.field(description="How the member pays.")
    return_url: str = strawberry.field(
        description="Where the provider's page leads back to: a path of ours, or an allowed origin."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="At which store, `node_…`; null is at none."
    )


@strawberry.input(description="A package that a till sells.")
class PackageSellInput(_AnyPurchaseInput):
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    member_id: strawberry.ID | None = strawberry.field(
        default=None, description="With `schemeId`: whose card is opened, `mem_…`."
    )
    method_code: str | None = strawberry.field(
        default=None, description="The payment method's code; null for what is free."
    )


@strawberry.type(description="The package is not active.")
class PackageNotOnSale(Problem):
    state: PackageState = strawberry.field(description="Its state.")

    @classmethod
    def of(cls, error: offering.PackageNotOnSale) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="Another price applies than the one that was shown.")
class PackagePriceChanged(Problem):
    price: Money = strawberry.field(description="The price now.")
    price_reason: PriceReason = strawberry.field(description="Which price that is.")

    @classmethod
    def of(cls, error: offering.PriceChanged) -> Self:
        return cls(
            message=str(error),
            price=Money.of(error.price.amount, error.currency),
            price_reason=error.price.reason,
        )


@strawberry.type(description="Buying this package does not open a card of the scheme.")
class PackageOpensNoCard(Problem):
    opening_package_id: strawberry.ID | None = strawberry.field(
        description="The package that does, `pkg_…`; null if none does."
    )

    @classmethod
    def of(cls, error: buying.PackageOpensNoCard) -> Self:
        found = error.opening_package_id
        return cls(
            message=str(error), opening_package_id=None if found is None else package_id_of(found)
        )


PackageOrderResult = Annotated[
    OrderPlaced
    | CardNotFound
    | CardNotUsable
    | SchemeNotFound
    | SchemeClosed
    | SchemeHasNoTier
    | PackageOpensNoCard
    | NotAtThisStore
    | NodeNotFound
    | PackageNotFound
    | PackageNotOnSale
    | WrongCurrency
    | NotAvailable
    | PackagePriceChanged
    | AgreementChanged
    | TooManyOpenOrders
    | MethodCannotPay
    | PaymentUnavailable
    | PayerUnknown
    | Undeliverable
    | RequestKeyReused,
    strawberry.union("PackageOrderResult", description="The order, or why there is none."),
]
PackageSellResult = Annotated[
    OrderSold
    | TerminalNotFound
    | CardNotFound
    | CardNotUsable
    | MemberNotFound
    | SchemeNotFound
    | SchemeHasNoTier
    | PackageOpensNoCard
    | NotAtThisStore
    | PackageNotFound
    | PackageNotOnSale
    | WrongCurrency
    | NotAvailable
    | PackagePriceChanged
    | AgreementChanged
    | PaymentMethodUnknown
    | MethodCannotPay
    | Undeliverable
    | RequestKeyReused,
    strawberry.union("PackageSellResult", description="The order, or why there is none."),
]

HANDLERS = [
    shown_as(PackageNotOnSale, offering.PackageNotOnSale),
    shown_as(PackagePriceChanged, offering.PriceChanged),
    shown_as(PackageOpensNoCard, buying.PackageOpensNoCard),
]
