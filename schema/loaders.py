"""One statement a level: everything nested is loaded by id, for all parents at once."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.core.db import Database, Transaction
from app.models.cards import Card, Scheme, Tier
from app.models.identities import Identity
from app.models.ledger import Account
from app.models.members import AttributeDefinition, Consent, Member
from app.models.organisation import Node
from app.models.purchases import Purchase, PurchaseRefund
from app.services import cards, identities, ledger, members, organisation, purchases, schemes
from app.services.ledger import Line, Scope
from app.services.purchases import Paid

R = TypeVar("R")


class History(NamedTuple):
    """What happened with a card, as far as the asker may see it; its holder sees all."""

    card_id: UUID
    has_absorbed: bool
    scope: Scope | None = None


class HistoryPage(NamedTuple):
    """Rows of a card's history: before which row, how many."""

    of: History
    before: UUID | None
    limit: int


class Loaders:
    """One set per operation, so nothing is remembered between people."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.node: DataLoader[UUID, Node] = DataLoader(self._nodes)

        self.member: DataLoader[UUID, Member] = DataLoader(self._members)
        self.identities: DataLoader[UUID, list[Identity]] = DataLoader(self._identities)
        self.consents: DataLoader[UUID, list[Consent]] = DataLoader(self._consents)
        self.attributes: DataLoader[UUID, list[AttributeDefinition]] = DataLoader(self._attributes)

        self.scheme: DataLoader[UUID, Scheme] = DataLoader(self._schemes)
        self.tier: DataLoader[UUID, Tier] = DataLoader(self._tiers)
        self.tiers_of_scheme: DataLoader[UUID, list[Tier]] = DataLoader(self._tiers_of_schemes)
        self.stores_of_scheme: DataLoader[UUID, list[Node]] = DataLoader(self._stores_of_schemes)
        self.accounts: DataLoader[UUID, list[Account]] = DataLoader(self._accounts)
        self.absorbed: DataLoader[UUID, list[Card]] = DataLoader(self._absorbed)
        self.ledger_lines: DataLoader[HistoryPage, list[Line]] = DataLoader(self._ledger_lines)
        self.purchases: DataLoader[HistoryPage, list[Purchase]] = DataLoader(self._purchases)
        self.payments: DataLoader[UUID, list[Paid]] = DataLoader(self._payments)
        self.refunds: DataLoader[UUID, list[PurchaseRefund]] = DataLoader(self._refunds)

    async def _nodes(self, ids: list[UUID]) -> list[Node]:
        found = await self.database.read(organisation.nodes, ids)
        return [found[i] for i in ids]

    async def _members(self, ids: list[UUID]) -> list[Member]:
        found = await self.database.read(members.by_ids, ids)
        return [found[i] for i in ids]

    async def _identities(self, member_ids: list[UUID]) -> list[list[Identity]]:
        found = await self.database.read(identities.of_members, member_ids)
        return [found[i] for i in member_ids]

    async def _consents(self, member_ids: list[UUID]) -> list[list[Consent]]:
        found = await self.database.read(members.consents_in_force, member_ids)
        return [found[i] for i in member_ids]

    async def _attributes(self, group_ids: list[UUID]) -> list[list[AttributeDefinition]]:
        found = await self.database.read(members.attributes_defined, group_ids)
        return [found[i] for i in group_ids]

    async def _schemes(self, ids: list[UUID]) -> list[Scheme]:
        found = await self.database.read(schemes.by_ids, ids)
        return [found[i] for i in ids]

    async def _tiers(self, ids: list[UUID]) -> list[Tier]:
        found = await self.database.read(schemes.tiers, ids)
        return [found[i] for i in ids]

    async def _tiers_of_schemes(self, scheme_ids: list[UUID]) -> list[list[Tier]]:
        found = await self.database.read(schemes.tiers_by_scheme, scheme_ids)
        return [found[i] for i in scheme_ids]

    async def _stores_of_schemes(self, scheme_ids: list[UUID]) -> list[list[Node]]:
        found = await self.database.read(schemes.stores_by_scheme, scheme_ids)
        return [found[i] for i in scheme_ids]

    async def _accounts(self, card_ids: list[UUID]) -> list[list[Account]]:
        found: dict[UUID, list[Account]] = {card_id: [] for card_id in card_ids}
        for account in await self.database.read(ledger.accounts_of_cards, card_ids):
            found[account.card_id].append(account)
        return [found[i] for i in card_ids]

    async def _absorbed(self, card_ids: list[UUID]) -> list[list[Card]]:
        found = await self.database.read(cards.absorbed, card_ids)
        return [found[i] for i in card_ids]

    async def _ledger_lines(self, pages: list[HistoryPage]) -> list[list[Line]]:
        return await self.database.read(_each_page, ledger.lines_of_card, pages)

    async def _purchases(self, pages: list[HistoryPage]) -> list[list[Purchase]]:
        return await self.database.read(_each_page, purchases.of_card, pages)

    async def _payments(self, purchase_ids: list[UUID]) -> list[list[Paid]]:
        found = await self.database.read(purchases.payments_by_purchase, purchase_ids)
        return [found[i] for i in purchase_ids]

    async def _refunds(self, purchase_ids: list[UUID]) -> list[list[PurchaseRefund]]:
        found = await self.database.read(purchases.refunds_by_purchase, purchase_ids)
        return [found[i] for i in purchase_ids]


async def _each_page(
    tx: Transaction,
    page_of: Callable[..., Coroutine[Any, Any, list[R]]],
    pages: list[HistoryPage],
) -> list[list[R]]:
    """A statement a page, in one go: a member has a card or two, and each a page of its own."""
    return [
        await page_of(tx, **history._asdict(), before=before, limit=limit)
        for history, before, limit in pages
    ]
