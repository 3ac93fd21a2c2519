"""Cards: as their holders see them, and as those who work here do (CRD-2, CRD-3)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.crypto import masked_name, masked_phone
from app.core.ids import type_id
from app.models import cards as rows
from app.models.identities import IdentityKind
from app.models.staff import Permission
from app.services import cards, tiers
from app.services.ledger import Scope
from schema.benefits import CardBenefit
from schema.card_status import HANDLERS as CARD_HANDLERS
from schema.card_status import CardNotFound, CardNotUsable, CardStatus, CardStatusUnchangeable
from schema.context import Info
from schema.ledger import Balances, LedgerLineConnection
from schema.loaders import BenefitsOf, History, ProgressOf, Soon
from schema.member_codes import MemberCode, MemberCodeResult
from schema.members import MemberNotFound, member_id_of
from schema.organisation import Node, TerminalNotFound
from schema.pages import PAGE_SIZE_DEFAULT, After, First
from schema.points_rules import ExpiringPoints
from schema.problems import Refusals
from schema.purchases import PurchaseConnection
from schema.scalars import Long
from schema.schemes import (
    CardMustBeBought,
    NotAtThisStore,
    OpenScheme,
    Scheme,
    SchemeClosed,
    SchemeHasNoTier,
    SchemeNotFound,
    Tier,
)
from schema.spendings import SpendingConnection
from schema.tiers import TierChangeConnection, TierNotFound, TierProgress
from schema.top_ups import TopUpConnection


@strawberry.type
class _AnyCard:
    """What both schemas say of a card; each adds what is its own."""

    id: strawberry.ID = strawberry.field(description="Its id, `card_…`.")
    number: str = strawberry.field(description="The ten digits printed on it.")
    status: CardStatus = strawberry.field(description="Whether it can be used now.")
    issued_at: datetime = strawberry.field(description="When it was opened.")
    expires_at: datetime | None = strawberry.field(
        description="When its time is over; null is never."
    )
    row: strawberry.Private[rows.Card]

    @classmethod
    def of(cls, row: rows.Card, now: datetime) -> Self:
        return cls(
            id=card_id_of(row.id),
            number=row.number,
            status=cards.status_at(row, now),
            issued_at=row.issued_at,
            expires_at=row.expires_at,
            row=row,
        )

    def history(self, scope: Scope | None = None) -> History:
        """What happened with it; `scope` is for those who are not its holder."""
        return History(self.row.id, self.row.has_absorbed, scope)

    @strawberry.field(description="The tier it has reached.")
    async def tier(self, info: Info) -> Tier:
        return Tier.of(await info.context.loaders.tier.load(self.row.tier_id))

    @strawberry.field(description="How far it is on the way to the next tier.")
    async def tier_progress(self, info: Info) -> TierProgress:
        wanted = ProgressOf(self.row, info.context.now)
        return TierProgress.of(await info.context.loaders.tier_progress.load(wanted))

    @strawberry.field(
        description="How its tier changed, newest first, on cards merged into it too."
    )
    async def tier_changes(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> TierChangeConnection:
        return await TierChangeConnection.load(info, self.history(), first, after)

    @strawberry.field(
        description="The growth it gained in a time, less what was taken back in that time."
    )
    async def growth_gained(
        self,
        info: Info,
        from_: Annotated[
            datetime, strawberry.argument(name="from", description="From this moment on.")
        ],
        to: Annotated[datetime, strawberry.argument(description="Before this moment.")],
    ) -> Long:
        gained = await info.context.read(
            tiers.growth_gained, card_id=self.row.id, from_moment=from_, to_moment=to
        )
        return Long(gained)

    @strawberry.field(
        description="The benefits it has now, wherever and on whatever channel: what was given to"
        " it first, then those its scheme and tier bring. `benefitsFor` says which hold."
    )
    async def benefits(self, info: Info) -> list[CardBenefit]:
        wanted = BenefitsOf(self.row, info.context.now)
        return [CardBenefit.of(each) for each in await info.context.loaders.benefits.load(wanted)]

    @strawberry.field(description="What it holds.")
    async def balances(self, info: Info) -> Balances:
        return Balances.of(await info.context.loaders.accounts.load(self.row.id))

    @strawberry.field(
        description="Its points that are cleared soon, the soonest first; at most 100."
    )
    async def expiring_points(
        self,
        info: Info,
        within_days: Annotated[
            int, strawberry.argument(description="How many days to look ahead, 1 to 366.")
        ],
    ) -> list[ExpiringPoints]:
        soon = Soon(self.row.id, within_days, info.context.now)
        return [ExpiringPoints.of(row) for row in await info.context.loaders.expiring.load(soon)]

    @strawberry.field(description="The numbers of cards that were merged into it: they find it.")
    async def merged_numbers(self, info: Info) -> list[str]:
        if not self.row.has_absorbed:
            return []
        return [card.number for card in await info.context.loaders.absorbed.load(self.row.id)]


@strawberry.type(name="Card", description="A card of the signed-in member.")
class OwnCard(_AnyCard):
    @strawberry.field(description="The scheme it belongs to.")
    async def scheme(self, info: Info) -> OpenScheme:
        return OpenScheme.of(await info.context.loaders.scheme.load(self.row.scheme_id))

    @strawberry.field(description="What came and went, newest first, on cards merged into it too.")
    async def ledger(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> LedgerLineConnection:
        return await LedgerLineConnection.load(info, self.history(), first, after)

    @strawberry.field(
        description="Its purchases, newest first, those of cards merged into it included."
    )
    async def purchases(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> PurchaseConnection:
        return await PurchaseConnection.load(info, self.history(), first, after)

    @strawberry.field(
        description="What it paid, newest first, with what cards merged into it paid."
    )
    async def spendings(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> SpendingConnection:
        return await SpendingConnection.load(info, self.history(), first, after)

    @strawberry.field(
        description="Its top-ups, newest first, those of cards merged into it included."
    )
    async def top_ups(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> TopUpConnection:
        return await TopUpConnection.load(info, self.history(), first, after)

    @strawberry.field(
        description="What to show at the till now.", extensions=[Refusals(CARD_HANDLERS)]
    )
    def code(self, info: Info) -> MemberCodeResult:
        cards.require_usable(self.row, info.context.now)
        return MemberCode.of(self.row, info.context.settings.member_codes, info.context.now)


@strawberry.type(description="Whose card it is, as far as a till needs to know.")
class CardHolder:
    id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    name: str | None = strawberry.field(description="Their name, masked: 王**.")
    phone: str | None = strawberry.field(description="Their phone number, masked: 138****1234.")


@strawberry.type(description="A member's card of a scheme.")
class Card(_AnyCard):
    @strawberry.field(description="The scheme it belongs to.")
    async def scheme(self, info: Info) -> Scheme:
        return Scheme.of(await info.context.loaders.scheme.load(self.row.scheme_id))

    @strawberry.field(
        description="What came and went, newest first, on cards merged into it too: at stores"
        " where the asker holds `purchases:read`; at no store, with `cards:read` where the scheme"
        " was made or above."
    )
    async def ledger(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> LedgerLineConnection:
        loaders = info.context.loaders
        scheme = await loaders.scheme.load(self.row.scheme_id)
        perspective = await loaders.node.load(scheme.perspective_id)
        scope = Scope.of(await info.context.actor(), perspective)
        return await LedgerLineConnection.load(info, self.history(scope), first, after)

    @strawberry.field(
        description="Its purchases, newest first, those of cards merged into it included: at"
        " stores where the asker holds `purchases:read`."
    )
    async def purchases(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> PurchaseConnection:
        actor = await info.context.actor()
        actor.require_any(Permission.PURCHASES_READ)
        scope = Scope(tuple(actor.nodes_with(Permission.PURCHASES_READ)))
        return await PurchaseConnection.load(info, self.history(scope), first, after)

    @strawberry.field(
        description="What it paid, newest first, with what cards merged into it paid: at stores"
        " where the asker holds `purchases:read`."
    )
    async def spendings(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> SpendingConnection:
        actor = await info.context.actor()
        actor.require_any(Permission.PURCHASES_READ)
        scope = Scope(tuple(actor.nodes_with(Permission.PURCHASES_READ)))
        return await SpendingConnection.load(info, self.history(scope), first, after)

    @strawberry.field(
        description="Its top-ups, newest first, those of cards merged into it included: at stores"
        " where the asker holds `top_ups:read`; online, where the scheme was made or above."
    )
    async def top_ups(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> TopUpConnection:
        actor = await info.context.actor()
        actor.require_any(Permission.TOP_UPS_READ)
        scheme = await info.context.loaders.scheme.load(self.row.scheme_id)
        perspective = await info.context.loaders.node.load(scheme.perspective_id)
        sees_storeless = actor.may(Permission.TOP_UPS_READ, perspective)
        scope = Scope(tuple(actor.nodes_with(Permission.TOP_UPS_READ)), sees_storeless)
        return await TopUpConnection.load(info, self.history(scope), first, after)

    @strawberry.field(description="Whose it is.")
    async def holder(self, info: Info) -> CardHolder:
        loaders = info.context.loaders
        member = await loaders.member.load(self.row.member_id)
        identities = await loaders.identities.load(self.row.member_id)
        phones = (each.value for each in identities if each.kind is IdentityKind.PHONE)
        phone = next(phones, None)
        return CardHolder(
            id=member_id_of(member.id),
            name=masked_name(member.name) if member.name else None,
            phone=masked_phone(phone) if phone else None,
        )

    @strawberry.field(description="The store that issued it; null if it was opened online.")
    async def issuing_store(self, info: Info) -> Node | None:
        if self.row.issuing_store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.issuing_store_id))


def card_id_of(card_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("card", card_id))


@strawberry.input(description="A scheme to open a card of.")
class CardJoinInput:
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")


@strawberry.input(description="A card its holder has lost.")
class CardReportLostInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")


@strawberry.input(description="A card to open for a member at a till.")
class CardOpenInput:
    member_id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    terminal_id: strawberry.ID = strawberry.field(
        description="The till, `term_…`: its store issues the card."
    )


@strawberry.input(description="A card's new status.")
class CardStatusChangeInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    status: CardStatus = strawberry.field(description="NORMAL, LOST or FROZEN.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")


CardJoinResult = Annotated[
    OwnCard | SchemeNotFound | SchemeClosed | SchemeHasNoTier | CardMustBeBought,
    strawberry.union("CardJoinResult", description="The card, or why there is none."),
]
CardReportLostResult = Annotated[
    OwnCard | CardNotFound | CardStatusUnchangeable,
    strawberry.union("CardReportLostResult", description="The card as it is now, or why not."),
]
CardOpenResult = Annotated[
    Card
    | TerminalNotFound
    | MemberNotFound
    | SchemeNotFound
    | SchemeHasNoTier
    | NotAtThisStore
    | CardMustBeBought,
    strawberry.union("CardOpenResult", description="The card, or why there is none."),
]
CardTierSetResult = Annotated[
    Card | CardNotFound | CardNotUsable | TierNotFound,
    strawberry.union("CardTierSetResult", description="The card as it is now, or why not."),
]
CardStatusChangeResult = Annotated[
    Card | CardNotFound | CardStatusUnchangeable,
    strawberry.union("CardStatusChangeResult", description="The card as it is now, or why not."),
]

HANDLERS = CARD_HANDLERS
