"""What finance asks, and top-ups that were credited at a time and place."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from app.core.db import Database, Transaction, changed_copy, statement
from app.core.ids import new_id, type_id
from app.models.cards import Card, Scheme
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind, SystemAccount
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.sessions import PrincipalKind
from app.models.top_ups import TopUpOrder, TopUpSource
from app.services import ledger
from app.services.top_ups import orders
from app.services.top_ups.rules import Credit
from tests.factories.cards import Counter
from tests.factories.reading import one

_FLOW = """opening { amount currency } added { amount } taken { amount } closing { amount }
  movements { kind added { amount } taken { amount } }
  byStore { kind store { name } added { amount } taken { amount } }"""
STORED_VALUE = f"""query ($at: ID!, $from: Date!, $to: Date!, $byStore: Boolean = false) {{
  storedValueReport(perspectiveId: $at, from: $from, to: $to, byStore: $byStore) {{
    about {{ perspective {{ name }} from to timeZone startsAt endsAt madeAt }}
    schemes {{ scheme {{ id name }}
      cash {{ ...card }} bonus {{ ...card }} held {{ {_FLOW} }} }} }} }}
fragment card on CardValueFlow {{ {_FLOW}
  cardsWithBalance onCards {{ amount }} owed {{ amount }} }}"""
CHANGES = (
    "issued", "takenBack", "spent", "returned", "expired", "decayed", "adjusted", "voided",
    "rolledBack", "merged",
)  # fmt: skip
POINTS = f"""query ($at: ID!, $from: Date!, $to: Date!) {{
  pointsLiabilityReport(perspectiveId: $at, from: $from, to: $to) {{
    schemes {{ scheme {{ id }} opening {" ".join(CHANGES)} closing cardsWithPoints onCards owed held
      costPerThousand {{ amount }} cost {{ amount currency }}
      expiring {{ month points cost {{ amount }} }} }} }} }}"""
TOP_UPS = """query ($at: ID!, $from: Date!, $to: Date!, $by: Grouping!) {
  topUpStatistics(perspectiveId: $at, from: $from, to: $to, groupBy: $by) {
    lines { ...line } totals { ...line } } }
fragment line on TopUpStatisticsLine { day store { name } planId planName method { code } provider
  currency sold { ...f } batches { ...f } codes { ...f } }
fragment f on TopUpFigures { orders paid { amount } bonus { amount } points refundedOrders
  refunded { amount } }"""
COMPLIANCE = """query ($at: ID!, $from: Date!, $to: Date!) {
  complianceReport(perspectiveId: $at, from: $from, to: $to) {
    currencies { rules { currency registeredCardCap unregisteredCardCap personCap realNameFrom }
      cards { cardNumber holder isRegistered balance { amount } cap { amount } } numberOfCards
      persons { holder cards balance { amount } cap { amount } } numberOfPersons
      orders { orderId cardNumber holder amount { amount } needsRealName realNameRecordedAt
        needsTransfer methodName provider leavesTrace isAboveMost } numberOfOrders
      giftCards { giftCardId cardNumber holder balance { amount } cap { amount } } numberOfGiftCards
      giftCardPurchases { kind id boughtAt cardNumber buyer amount { amount } needsRealName
        realNameRecordedAt needsTransfer methodName provider leavesTrace isAboveMost }
      numberOfGiftCardPurchases }
    expiringCash { cardNumber holder amount { amount currency } expiresAt } numberOfExpiring } }"""
COUPONS = """query ($at: ID!, $from: Date!, $to: Date!, $by: CouponGrouping!) {
  couponReport(perspectiveId: $at, from: $from, to: $to, groupBy: $by) {
    about { startsAt endsAt } lines { ...line } totals { ...line } } }
fragment line on CouponCostLine { templateId templateName store { name } day currency
  issued used returned expired withdrawn tookOff { amount currency } givenBack { amount }
  cost { amount } }"""
LINK = """mutation ($input: ReportLinkInput!) { reportLink(input: $input) { url expiresAt } }"""


async def ask(
    till: Counter, document: str, from_day: str, to_day: str, /, at: Node | None = None, **more: Any
) -> Any:
    """A report about the group, unless another node is named."""
    asked: dict[str, Any] = {
        "at": type_id("node", (at or till.shop.places.group).id),
        "from": from_day,
        "to": to_day,
    }
    return await till.as_staff(document, **(asked | more))


async def of_scheme(
    till: Counter, document: str, from_day: str, to_day: str, /, scheme: Scheme, **more: Any
) -> Any:
    """What a report says of one scheme."""
    report = await ask(till, document, from_day, to_day, **more)
    (found,) = [
        each for each in report["schemes"] if each["scheme"]["id"] == type_id("sch", scheme.id)
    ]
    return found


def a_link(till: Counter, report: str, as_what: str = "EXCEL", /, **more: Any) -> dict[str, Any]:
    """What asks for a link to a report about the group, over the year."""
    return {
        "report": report,
        "format": as_what,
        "perspectiveId": type_id("node", till.shop.places.group.id),
        "from": date(till.now.year, 1, 1).isoformat(),
        "to": date(till.now.year + 1, 1, 1).isoformat(),
    } | more


async def credited(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    amount: int = 100_00,
    bonus: int = 0,
    points: int = 0,
    source: TopUpSource = TopUpSource.PLAN,
    store_id: UUID | None = None,
    method_id: UUID | None = None,
    now: datetime,
) -> TopUpOrder:
    """A top-up that was credited, whatever limits there are."""
    order = orders.drafted(
        new_id(),
        card=card,
        scheme=scheme,
        brings=Credit(amount=amount, bonus=bonus, points=points),
        channel=Channel.POS if store_id else Channel.ONLINE,
        is_first=False,
        store_id=store_id,
        source=source,
        now=now,
    )
    order = changed_copy(order, payment_method_id=method_id)
    await tx.insert(order)
    kind = PrincipalKind.SYSTEM
    return await orders.credit(
        tx, order=order, card=card, scheme=scheme, actor_kind=kind, actor_id=None, now=now
    )


async def owing(
    tx: Transaction, *, card: Card, kind: AccountKind, amount: int, now: datetime
) -> None:
    """Take back more than there is: the card owes the rest."""
    accounts = {each.kind: each for each in await ledger.accounts_of_cards(tx, [card.id])}
    account = accounts[kind]
    header = ledger.Header.of(
        card,
        kind=PostingKind.TOP_UP_REFUND,
        cause_kind="test",
        cause_id=new_id(),
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account.id])
    await sheet.claw_back(account.id, amount, origin_id=None)
    sheet.against(SystemAccount.PAYMENTS_RECEIVED, amount, account.unit)
    await sheet.close()


_standing = statement(
    select(func.coalesce(func.sum(Account.balance - Account.debt), 0))
    .join(Card, col(Card.id) == col(Account.card_id))
    .where(col(Card.scheme_id) == bindparam("scheme_id"), col(Account.kind) == bindparam("kind")),
    into=int,
)
_held = statement(
    select(func.coalesce(func.sum(Entry.amount), 0))
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .where(
        col(Posting.scheme_id) == bindparam("scheme_id"),
        col(Entry.system_account) == SystemAccount.HELD,
        col(Entry.unit) == bindparam("unit"),
    ),
    into=int,
)


async def standing(database: Database, scheme: Scheme, kind: AccountKind) -> int:
    """What the cards of a scheme hold of one kind, less what they owe, by their accounts."""
    return int(await one(database, _standing, scheme_id=scheme.id, kind=kind) or 0)


async def held(database: Database, scheme: Scheme) -> int:
    """What is held of a scheme's money, by its entries."""
    return int(await one(database, _held, scheme_id=scheme.id, unit=scheme.currency) or 0)


def by_kind(movements: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """What came and went by the kind of posting."""
    return {each["kind"]: (each["added"]["amount"], each["taken"]["amount"]) for each in movements}
