"""Cards with stored value and points of every kind, and tills that charge them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.cards import Card, ConsumptionVerification, DeductionRule, Scheme
from app.models.ledger import AccountKind, Entry, Lot, PostingKind, SystemAccount
from app.models.sessions import PrincipalKind, Session
from app.models.spendings import SpendingPart
from app.services import cards, ledger, members, spendings
from app.services.merges import merging
from tests.factories.cards import SESSION_LIFE, Counter, a_scheme, counter
from tests.factories.ledger import account
from tests.factories.reading import every

_SPENDING = """
fragment S on Spending {
  id kind state orderNumber amount { amount } cash { amount } bonus { amount } points
  returned { amount } returnedCash { amount } returnedBonus { amount } returnedPoints
  madeAt expiresAt endedAt
  refunds { amount { amount } cash { amount } bonus { amount } points reason }
}
fragment B on Balances { cash { amount } bonus { amount } points }
"""
_REFUSALS = """
  ... on CardNotUsable { status }
  ... on WrongCurrency { expected }
  ... on InsufficientBalance { shortBy { amount currency } usable { amount currency } }
  ... on PointsCapReached { most { amount } }
  ... on PointsBelowMinimum { atLeast }
  ... on NotEnoughPoints { missingPoints usablePoints }
"""
_MORE = """
  ... on SpendingNotOpen { state message }
"""
CHARGE = (
    """mutation ($input: SpendingChargeInput!) { spendingCharge(input: $input) { __typename
  ... on SpendingCharged { replayed spending { ...S } balances { ...B } }"""
    f"{_REFUSALS} }} }} {_SPENDING}"
)
AUTHORISE = (
    """mutation ($input: SpendingAuthoriseInput!) { spendingAuthorise(input: $input) { __typename
  ... on SpendingAuthorised { replayed spending { ...S } balances { ...B } }"""
    f"{_REFUSALS} }} }} {_SPENDING}"
)
CAPTURE = (
    """mutation ($input: SpendingCaptureInput!) { spendingCapture(input: $input) { __typename
  ... on SpendingCaptured { replayed spending { ...S } balances { ...B } }
  ... on CaptureTooLarge { most { amount } } ... on WrongCurrency { expected }"""
    f"{_MORE} }} }} {_SPENDING}"
)
VOID = (
    """mutation ($input: SpendingVoidInput!) { spendingVoid(input: $input) { __typename
  ... on SpendingVoided { replayed spending { ...S } balances { ...B } }
  ... on CardNotUsable { status }"""
    f"{_MORE} }} }} {_SPENDING}"
)
REFUND = (
    """mutation ($input: SpendingRefundInput!) { spendingRefund(input: $input) { __typename
  ... on SpendingRefunded {
    replayed spending { ...S } balances { ...B }
    refund { amount { amount } cash { amount } bonus { amount } points reason } }
  ... on SpendingRefundTooLarge { refundable { amount currency } }
  ... on WrongCurrency { expected }
  ... on CardNotUsable { status }"""
    f"{_MORE} }} }} {_SPENDING}"
)

parts_of = statement(
    select(SpendingPart)
    .where(col(SpendingPart.spending_id) == bindparam("spending_id"))
    .order_by(col(SpendingPart.position)),
    into=SpendingPart,
)
lots_of_account = statement(
    select(Lot).where(col(Lot.account_id) == bindparam("account_id")).order_by(col(Lot.id)),
    into=Lot,
)


entries_of_system_account = statement(
    select(Entry.amount).where(col(Entry.system_account) == bindparam("system_account")), into=int
)
stay_signed_in = statement(
    update(Session)
    .where(col(Session.id) == bindparam("session_id"))
    .values(expires_at=bindparam("until"))
)


class Held(NamedTuple):
    """What is on a card."""

    cash: int
    bonus: int
    points: int


@dataclass(frozen=True)
class Payer:
    """A card of a scheme that asks for no proof unless said, and the tills it pays at."""

    till: Counter
    scheme: Scheme
    card: Card

    @property
    def database(self) -> Database:
        return self.till.database

    @property
    def card_id(self) -> str:
        return type_id("card", self.card.id)

    def later(self, **duration: float) -> "Payer":
        return replace(self, till=self.till.later(**duration))

    async def put(self, amount: int, kind: AccountKind = AccountKind.CASH, /, **more: Any) -> Lot:
        """Value that comes on the card as one lot."""
        return await self.database.run(bring, self.card, kind, amount, now=self.till.now, **more)

    async def put_bonus(self, amount: int, **more: Any) -> Lot:
        return await self.put(amount, AccountKind.BONUS, **more)

    async def put_points(self, amount: int, **more: Any) -> Lot:
        return await self.put(amount, AccountKind.POINTS, **more)

    def bill(self, amount: int, /, **more: Any) -> dict[str, Any]:
        """What a till asks for, of stored value unless it says otherwise."""
        return {
            "terminalId": self.till.terminal_id,
            "cardId": self.card_id,
            "kind": "STORED_VALUE",
            "amount": {"amount": amount, "currency": "CNY"},
            "orderNumber": new_id().hex,
            "requestKey": new_id().hex,
        } | more

    async def charge(self, amount: int, /, **more: Any) -> Any:
        return await self.till.as_staff(CHARGE, input=self.bill(amount, **more))

    async def paid(self, amount: int, /, **more: Any) -> Any:
        """The spending of a charge that went well."""
        charged = await self.charge(amount, **more)
        assert charged["__typename"] == "SpendingCharged", charged
        return charged["spending"]

    async def pay_with_points(self, amount: int, /, total: int, **more: Any) -> Any:
        asked = {"kind": "POINTS", "billTotal": {"amount": total, "currency": "CNY"}} | more
        return await self.charge(amount, **asked)

    async def authorise(self, amount: int, /, **more: Any) -> Any:
        return await self.till.as_staff(AUTHORISE, input=self.bill(amount, **more))

    async def held(self, amount: int, /, **more: Any) -> Any:
        """The spending of an authorisation that went well."""
        authorised = await self.authorise(amount, **more)
        assert authorised["__typename"] == "SpendingAuthorised", authorised
        return authorised["spending"]

    async def capture(self, spending: Any, amount: int, /, **more: Any) -> Any:
        asked = {"amount": {"amount": amount, "currency": "CNY"}}
        return await self._change(CAPTURE, spending, asked | more)

    async def void(self, spending: Any, /, **more: Any) -> Any:
        return await self._change(VOID, spending, {"reason": "Wrong table"} | more)

    async def refund(self, spending: Any, amount: int, /, **more: Any) -> Any:
        asked = {"amount": {"amount": amount, "currency": "CNY"}, "reason": "Cold soup"}
        return await self._change(REFUND, spending, asked | more)

    async def _change(self, document: str, spending: Any, asked: dict[str, Any]) -> Any:
        change = {"spendingId": spending["id"], "requestKey": new_id().hex} | asked
        who = change.pop("who", None)
        return await self.till.as_staff(document, who=who, input=change)

    async def holds(self) -> Held:
        kinds = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
        return Held(*[(await account(self.database, self.card.id, k)).balance for k in kinds])

    async def lots(self, kind: AccountKind = AccountKind.CASH) -> list[tuple[int, Any]]:
        """What remains of each lot, as it came, and until when."""
        of = await account(self.database, self.card.id, kind)
        found = await every(self.database, lots_of_account, account_id=of.id)
        return [(lot.remaining, lot.expires_at) for lot in found]

    async def total_of(self, system_account: SystemAccount) -> int:
        """What a system account received in all."""
        found = entries_of_system_account
        return sum(await every(self.database, found, system_account=system_account))

    async def parts(self, spending: Any) -> list[SpendingPart]:
        spending_id = parse_type_id("spd", spending["id"])
        return await every(self.database, parts_of, spending_id=spending_id)

    async def require_books(self) -> None:
        """The books are right, and spendings and ledger say the same."""
        assert await self.database.scan(ledger.check) == []
        assert await self.database.scan(spendings.check) == []


async def a_payer(database: Database, now: datetime, **rules: Any) -> Payer:
    """The owner who asks stays signed in, for what happens days later."""
    till = await counter(database, now)
    session = {"session_id": till.shop.owner.session_id, "until": now + SESSION_LIFE}
    await database.run(lambda tx: tx.changed(stay_signed_in, **session))
    return await database.run(another_card, till, **rules)


async def another_card(tx: Transaction, /, till: Counter, **rules: Any) -> Payer:
    """The shop's member's card of one more scheme of the group."""
    shop = till.shop
    rules = {
        "deduction_rule": DeductionRule.CASH_FIRST,
        "consumption_verification": ConsumptionVerification.NONE,
    } | rules
    scheme = await a_scheme(tx, perspective=shop.places.group, now=till.now, **rules)
    card = await cards.open_card(tx, member=shop.member, scheme=scheme, store_id=None, now=till.now)
    return Payer(till, scheme, card)


async def bring(
    tx: Transaction,
    card: Card,
    kind: AccountKind,
    amount: int,
    *,
    days: float | None = None,
    restriction: dict[str, Any] | None = None,
    now: datetime,
) -> Lot:
    """Value as a top-up will bring it: one lot, valid for so many days, restricted."""
    accounts = {a.kind: a for a in await ledger.accounts_of_cards(tx, [card.id])}
    header = ledger.Header.of(
        card,
        kind=PostingKind.TOP_UP,
        cause_kind="test",
        cause_id=new_id(),
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    source = {
        AccountKind.CASH: SystemAccount.PAYMENTS_RECEIVED,
        AccountKind.BONUS: SystemAccount.BONUS_ISSUED,
        AccountKind.POINTS: SystemAccount.POINTS_ISSUED,
    }[kind]
    to = accounts[kind]
    sheet = await ledger.Sheet.open(tx, header, [to.id])
    expires_at = None if days is None else now + timedelta(days=days)
    lot = sheet.put(to.id, amount, expires_at=expires_at, restriction=restriction)
    sheet.against(source, -amount, to.unit)
    await sheet.close()
    return lot


async def merged_away(payer: Payer) -> Card:
    """The payer's member becomes a part of another, whose card this is then."""
    return await payer.database.run(merge_away, payer)


async def merge_away(tx: Transaction, payer: Payer) -> Card:
    now, scheme = payer.till.now, payer.scheme
    other = await members.create(tx, group_id=payer.card.group_id, name=None, now=now)
    card = await cards.open_card(tx, member=other, scheme=scheme, store_id=None, now=now)
    await merging.join_records(tx, survivor_id=other.id, loser_id=payer.card.member_id, now=now)
    return card
