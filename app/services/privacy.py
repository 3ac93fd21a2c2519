"""What members may ask of their data: all of it, and that it is gone (IDN-8)."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, delete, select, update

from app.core.db import Transaction, any_of, statement
from app.core.errors import DomainError
from app.models.cards import Card, CardStatus, CodeScan
from app.models.identities import Identity, Merge
from app.models.ledger import AccountKind, Entry, Lot, Posting, PostingKind, SystemAccount
from app.models.members import Consent, Member, MemberStatus
from app.models.purchases import Purchase, PurchasePayment, PurchaseRefund
from app.models.sessions import PrincipalKind, Session
from app.services import identities, ledger, members, requests, schemes, sessions
from app.services.members import Bearer
from app.services.merges.merging import lock_cards

EXPORT_ROWS_MAX = 20_000
"""Of each kind; a document that would need more says that it is not complete."""

VALUE = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
"""What a member gives up by closing an account. Growth buys nothing, so it holds nobody back."""

records_of = statement(
    select(Member)
    .where(
        or_(
            col(Member.id) == bindparam("member_id"),
            col(Member.merged_into_id) == bindparam("member_id"),
        )
    )
    .order_by(col(Member.id)),
    into=Member,
)


def _newest(table: Any, key: Any, name: str) -> Any:
    query = select(table).where(any_of(key, name)).order_by(col(table.id).desc())
    return statement(query.limit(EXPORT_ROWS_MAX), into=table)


cards_held = _newest(Card, col(Card.member_id), "member_ids")
consents_given = _newest(Consent, col(Consent.member_id), "member_ids")
sessions_opened = _newest(Session, col(Session.principal_id), "member_ids")
merges_survived = _newest(Merge, col(Merge.survivor_id), "member_ids")
purchases_made = _newest(Purchase, col(Purchase.card_id), "card_ids")
payments_made = _newest(PurchasePayment, col(PurchasePayment.purchase_id), "purchase_ids")
refunds_had = _newest(PurchaseRefund, col(PurchaseRefund.purchase_id), "purchase_ids")
scans_made = _newest(CodeScan, col(CodeScan.card_id), "card_ids")
lots_had = _newest(Lot, col(Lot.account_id), "account_ids")


class Movement(NamedTuple):
    """One line of the ledger on a card."""

    card_id: UUID
    account_id: UUID | None
    unit: str
    amount: int
    balance_after: int | None
    kind: PostingKind
    store_id: UUID | None
    occurred_at: datetime


movements_had = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        Entry.card_id,
        Entry.account_id,
        Entry.unit,
        Entry.amount,
        Entry.balance_after,
        Posting.kind,
        Posting.store_id,
        Posting.occurred_at,
    )
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .where(any_of(col(Entry.card_id), "card_ids"))
    .order_by(col(Entry.id).desc())
    .limit(EXPORT_ROWS_MAX),
    into=Movement,
)
remove_identities = statement(
    delete(Identity).where(col(Identity.member_id) == bindparam("member_id"))
)
OPEN_STATUSES = (CardStatus.NORMAL, CardStatus.LOST, CardStatus.FROZEN)
expire_cards = statement(
    update(Card)
    .where(
        col(Card.member_id) == bindparam("member_id"),
        or_(*(col(Card.status) == open_ for open_ in OPEN_STATUSES)),
    )
    .values(status=CardStatus.EXPIRED, pin_hash=None)
)
empty_records = statement(
    update(Member)
    .where(
        or_(
            col(Member.id) == bindparam("member_id"),
            col(Member.merged_into_id) == bindparam("member_id"),
        )
    )
    .values(name=None, gender=None, birthday=None, region=None, attributes=bindparam("nothing"))
)
# Those of records merged into this one too: what a device called itself may name its owner.
empty_devices = statement(
    update(Session)
    .where(
        col(Session.principal_kind) == PrincipalKind.MEMBER,
        col(Session.principal_id).in_(
            select(Member.id).where(
                or_(
                    col(Member.id) == bindparam("member_id"),
                    col(Member.merged_into_id) == bindparam("member_id"),
                )
            )
        ),
    )
    .values(device="")
)
mark_closed = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(status=MemberStatus.CLOSED, closed_at=bindparam("at"))
)


class Balance(NamedTuple):
    """What is on one account, in minor units of a currency or in points; negative if it owes."""

    kind: AccountKind
    unit: str
    amount: int


class BalanceLeft(DomainError):
    """Closing would throw away value that the member did not give up, or a debt, which is not
    theirs to give up: staff clear it."""

    def __init__(self, balances: list[Balance]) -> None:
        self.balances = balances
        self.owes = any(balance.amount < 0 for balance in balances)
        super().__init__(
            "A card of yours owes something. Ask a store to clear it first."
            if self.owes
            else "There is still value on your cards. Spend it first, or give it up."
        )


async def export(tx: Transaction, *, member_id: UUID, now: datetime) -> dict[str, Any]:
    """Everything about a member as one document; run it with `Database.scan`.

    Records that were merged into this one are part of it.
    """
    member = await members.signed_in(tx, member_id)
    records = await tx.all(records_of, member_id=member.id)
    member_ids = [record.id for record in records]
    held: list[Card] = await tx.all(cards_held, member_ids=member_ids)
    card_ids = [card.id for card in held]
    accounts = await ledger.accounts_of_cards(tx, card_ids)
    bought: list[Purchase] = await tx.all(purchases_made, card_ids=card_ids)
    purchase_ids = [purchase.id for purchase in bought]
    document: dict[str, Any] = {
        "records": _shown(
            records,
            "id status name gender birthday region attributes recruitment_store_id joined_at",
        ),
        "identities": _shown(
            await identities.of_member(tx, member_id=member.id), "id kind issuer value proven_at"
        ),
        "consents": _shown(
            await tx.all(consents_given, member_ids=member_ids),
            "purpose version is_given decided_at",
        ),
        "sessions": _shown(
            await tx.all(sessions_opened, member_ids=member_ids),
            "id method device started_at refreshed_at expires_at revoked_at revoked_because",
        ),
        "merges": _shown(
            await tx.all(merges_survived, member_ids=member_ids), "id loser_id merged_at undone_at"
        ),
        "schemes": _shown(
            (await schemes.by_ids(tx, list({card.scheme_id for card in held}))).values(),
            "id name currency",
        ),
        "cards": _shown(
            held, "id scheme_id number status merged_into_id issuing_store_id issued_at expires_at"
        ),
        "accounts": _shown(accounts, "id card_id kind unit balance debt"),
        "lots": _shown(
            await tx.all(lots_had, account_ids=[account.id for account in accounts]),
            "account_id amount remaining earned_at expires_at restriction",
        ),
        "movements": _shown(
            await tx.all(movements_had, card_ids=card_ids), " ".join(Movement._fields)
        ),
        "purchases": _shown(
            bought,
            "id card_id store_id order_number currency total_amount tax_amount net_amount"
            " refunded_amount points_earned points_taken_back occurred_at",
        ),
        "payments": _shown(
            await tx.all(payments_made, purchase_ids=purchase_ids), "purchase_id amount"
        ),
        "refunds": _shown(
            await tx.all(refunds_had, purchase_ids=purchase_ids),
            "purchase_id amount points_taken reason refunded_at",
        ),
        "codeScans": _shown(
            await tx.all(scans_made, card_ids=card_ids), "card_id terminal_id scanned_at"
        ),
    }
    is_complete = all(len(rows) < EXPORT_ROWS_MAX for rows in document.values())
    return {"exportedAt": now.isoformat(), "isComplete": is_complete, **document}


async def close(
    tx: Transaction, *, bearer: Bearer, request_key: str, forfeit_balances: bool, now: datetime
) -> Member:
    """Close the account (IDN-8): value expires, cards end, who it was is forgotten.

    The ledger keeps its rows, which name nobody any more; whoever had this phone can register
    afresh. Raises `BalanceLeft` unless the member gives the value up and owes nothing,
    `RequestKeyReused`, `SignInAgain`.
    """
    member = await members.living(tx, bearer.member_id)
    request = requests.Request(
        principal_id=member.id,
        operation="member_close",
        key=request_key,
        input={"forfeit_balances": forfeit_balances},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return member  # before the session is asked for, which the closure has ended
    member = await members.acting_recently(tx, bearer, now=now)
    held = await tx.all(lock_cards, member_ids=[member.id])
    left = await _expire_value(tx, held, member, now)
    refusal = BalanceLeft(left)
    if refusal.owes or (left and not forfeit_balances):
        raise refusal  # which rolls the expiry back
    await tx.changed(expire_cards, member_id=member.id)
    await tx.changed(remove_identities, member_id=member.id)
    await tx.changed(empty_records, member_id=member.id, nothing={})
    await tx.changed(mark_closed, member_id=member.id, at=now)
    await tx.changed(empty_devices, member_id=member.id)
    await sessions.revoke_all(tx, principal_id=member.id, why="account_closed", now=now)
    return await members.living(tx, member.id)


async def _expire_value(
    tx: Transaction, held: list[Card], member: Member, now: datetime
) -> list[Balance]:
    """Let every lot expire, one posting a card; what was worth something, and what is owed."""
    left: list[Balance] = []
    for card in held:
        accounts = await ledger.accounts_of_cards(tx, [card.id])
        header = ledger.Header.of(
            card,
            kind=PostingKind.ADJUST,
            cause_kind="account_closure",
            cause_id=card.id,
            actor_kind=PrincipalKind.MEMBER,
            actor_id=member.id,
            now=now,
        )
        sheet = await ledger.Sheet.open(tx, header, [account.id for account in accounts])
        for account in accounts:
            if account.kind in VALUE and (owed := sheet.account(account.id).debt):
                left.append(Balance(account.kind, account.unit, -owed))
            total = sum(amount for _, amount in await sheet.take_all(account.id))
            if not total:
                continue
            sheet.against(SystemAccount.EXPIRED, total, account.unit)
            if account.kind in VALUE:
                left.append(Balance(account.kind, account.unit, total))
        if not sheet.is_empty:
            await sheet.close()
    return left


def _shown(rows: Iterable[Any], names: str) -> list[dict[str, Any]]:
    """The named columns of rows, as a JSON document holds them."""
    columns = [(name, _camel(name)) for name in names.split()]
    return [{shown: _plain(getattr(row, name)) for name, shown in columns} for row in rows]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case StrEnum():
            return value.value
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
