"""Writing one posting: lock its accounts, take and put value, close it balanced."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import bindparam, nulls_last
from sqlmodel import col, select, update

from app.core.db import (
    Transaction,
    TransientFailure,
    any_of,
    changed_copy,
    light,
    statement,
)
from app.core.errors import DomainError
from app.models.cards import Card
from app.models.ledger import (
    Account,
    AccountKind,
    Entry,
    Lot,
    LotMovement,
    Posting,
    PostingKind,
    SystemAccount,
)
from app.models.sessions import PrincipalKind

LOTS_AT_ONCE_MAX = 10_000
"""Lots one account can hold unspent: far beyond a card's life, and a bound for the loop."""

BALANCE_MAX = 2**62
"""What an account can hold or owe: half of 64 bits, so that no sum of two leaves them."""

lock_accounts = statement(
    select(Account)
    .where(any_of(col(Account.id), "account_ids"))
    .order_by(col(Account.id))
    .with_for_update(),
    into=Account,
)
move_balance = statement(
    update(Account)
    .where(
        col(Account.id) == bindparam("moved_id"),
        col(Account.balance) + bindparam("by") >= 0,
    )
    .values(
        balance=col(Account.balance) + bindparam("by"),
        debt=col(Account.debt) + bindparam("debt_by"),
    )
)
# First to expire, then oldest (PTS-3). Lots that come back keep to it too: what expires first is
# what pays a debt first.
_in_spending_order = (nulls_last(col(Lot.expires_at)), col(Lot.earned_at), col(Lot.id))
spending_order = statement(
    select(Lot)
    .where(col(Lot.account_id) == bindparam("account_id"), col(Lot.remaining) > 0)
    .order_by(*_in_spending_order)
    .limit(LOTS_AT_ONCE_MAX),
    into=Lot,
)
lots_by_id = statement(
    select(Lot).where(any_of(col(Lot.id), "lot_ids")).order_by(*_in_spending_order), into=Lot
)
move_lot = statement(
    update(Lot)
    .where(col(Lot.id) == bindparam("lot_id"), col(Lot.remaining) + bindparam("by") >= 0)
    .values(remaining=col(Lot.remaining) + bindparam("by"))
)
by_cause = statement(
    select(Posting).where(
        col(Posting.cause_kind) == bindparam("cause_kind"),
        col(Posting.cause_id) == bindparam("cause_id"),
    ),
    into=Posting,
)
new_posting = light(Posting)
new_entry = light(Entry)
new_lot = light(Lot)
new_movement = light(LotMovement)


class NotEnoughValue(DomainError):
    """The account holds less than asked for, or less that may be used here and now."""

    def __init__(self, *, kind: AccountKind, short_by: int) -> None:
        self.kind = kind
        self.short_by = short_by
        super().__init__(f"The {kind.lower()} balance is short by {short_by}.")


class BalanceTooLarge(DomainError):
    """The account would hold, or owe, more than this product can count."""

    def __init__(self, kind: AccountKind) -> None:
        self.kind = kind
        super().__init__(f"The {kind.lower()} balance would become too large.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a posting says besides its amounts. (cause_kind, cause_id) is unique forever."""

    kind: PostingKind
    cause_kind: str
    cause_id: UUID
    group_id: UUID
    scheme_id: UUID | None
    """None where it moves gift cards alone; then their product is named."""
    actor_kind: PrincipalKind
    occurred_at: datetime
    now: datetime
    actor_id: UUID | None = None
    store_id: UUID | None = None
    reverses_id: UUID | None = None
    gift_card_product_id: UUID | None = None

    @classmethod
    def of(
        cls,
        card: Card,
        *,
        kind: PostingKind,
        cause_kind: str,
        cause_id: UUID,
        actor_kind: PrincipalKind,
        now: datetime,
        occurred_at: datetime | None = None,
        actor_id: UUID | None = None,
        store_id: UUID | None = None,
        reverses_id: UUID | None = None,
    ) -> Self:
        """The header of a posting on one member's card, now unless said otherwise."""
        return cls(
            kind=kind,
            cause_kind=cause_kind,
            cause_id=cause_id,
            group_id=card.group_id,
            scheme_id=card.scheme_id,
            actor_kind=actor_kind,
            actor_id=actor_id,
            store_id=store_id,
            reverses_id=reverses_id,
            occurred_at=occurred_at or now,
            now=now,
        )


class Taken(NamedTuple):
    """How much was taken from one lot."""

    lot: Lot
    amount: int


@dataclass(slots=True)
class _Moving:
    """An account on the sheet: as locked, and how far this posting has moved it."""

    account: Account
    balance: int
    debt: int
    net: int = 0
    """The sum of this posting's puts and takes on it, debt included: its entry's amount."""

    def receive(self, amount: int) -> int:
        """Count value that came; how much of it went to pay the debt."""
        settled = min(self.debt, amount)
        self.debt -= settled
        self.balance += amount - settled
        self.net += amount
        if self.balance > BALANCE_MAX:
            raise BalanceTooLarge(self.account.kind)
        return settled

    def owe(self, amount: int) -> None:
        """Count value that should be taken and is not there."""
        self.debt += amount
        self.net -= amount
        if self.debt > BALANCE_MAX:
            raise BalanceTooLarge(self.account.kind)


@dataclass(slots=True)
class Sheet:
    """One posting being written. Open it, `put` and `take`, name the other side, `close` it."""

    tx: Transaction
    header: Header
    posting: Posting
    _moving: dict[UUID, _Moving]
    _entries: list[Entry] = field(default_factory=list)
    _lots: dict[UUID, Lot] = field(default_factory=dict)
    _movements: Counter[UUID] = field(default_factory=Counter)

    @classmethod
    async def open(
        cls,
        tx: Transaction,
        header: Header,
        account_ids: Iterable[UUID],
    ) -> Self:
        """Lock the accounts, in the order of their ids so that two sheets cannot deadlock.

        Where a card was merged after the caller had read it, the whole service call runs again
        and finds the card that lives.
        """
        ids = sorted(set(account_ids))
        accounts = await tx.all(lock_accounts, account_ids=ids)
        assert len(accounts) == len(ids), "an account that does not exist"
        if any(account.is_closed for account in accounts):
            raise TransientFailure("a card was merged meanwhile")
        posting = new_posting(
            group_id=header.group_id,
            kind=header.kind,
            cause_kind=header.cause_kind,
            cause_id=header.cause_id,
            reverses_id=header.reverses_id,
            scheme_id=header.scheme_id,
            gift_card_product_id=header.gift_card_product_id,
            store_id=header.store_id,
            actor_kind=header.actor_kind.value,
            actor_id=header.actor_id,
            occurred_at=header.occurred_at,
            recorded_at=header.now,
        )
        return cls(tx, header, posting, {a.id: _Moving(a, a.balance, a.debt) for a in accounts})

    def account(self, account_id: UUID) -> Account:
        """The account as it was when the sheet was opened."""
        return self._moving[account_id].account

    def put(
        self,
        account_id: UUID,
        amount: int,
        *,
        expires_at: datetime | None = None,
        earned_at: datetime | None = None,
        origin_id: UUID | None = None,
        moved_from_id: UUID | None = None,
        restriction: dict[str, Any] | None = None,
    ) -> Lot:
        """Bring value as a new lot. What the account owes is paid from it first.

        Raises `BalanceTooLarge`.
        """
        assert amount > 0, amount
        settled = self._moving[account_id].receive(amount)
        lot = new_lot(
            account_id=account_id,
            origin_id=origin_id or self.posting.id,
            moved_from_id=moved_from_id,
            amount=amount,
            remaining=amount,
            earned_at=earned_at or self.header.occurred_at,
            expires_at=expires_at,
            restriction=restriction,
        )
        self._lots[lot.id] = lot
        if settled:
            self._movements[lot.id] -= settled
        return lot

    def put_moved(self, lot: Lot, amount: int, *, to_id: UUID) -> Lot:
        """Bring a lot's value to another account, with its own origin, time and expiry."""
        return self.put(
            to_id,
            amount,
            expires_at=lot.expires_at,
            earned_at=lot.earned_at,
            origin_id=lot.origin_id,
            moved_from_id=lot.id,
            restriction=lot.restriction,
        )

    async def live(self, account_id: UUID) -> list[Lot]:
        """Unspent lots in the order they are spent: first to expire, then oldest (PTS-3).

        Read under the account's lock. Lots whose time has passed but whose expiry is not yet
        posted are left out; restricted ones are among them, and whether those fit is for the
        spending to say (TOP-9).
        """
        lots = await self._unspent(account_id)
        now = self.header.now
        return [lot for lot in lots if lot.expires_at is None or lot.expires_at > now]

    async def _unspent(self, account_id: UUID) -> list[Lot]:
        """What remains of the account's lots, less what this very sheet has taken from them."""
        lots = await self.tx.all(spending_order, account_id=account_id)
        left = [(lot, lot.remaining + self._movements[lot.id]) for lot in lots]
        return [changed_copy(lot, remaining=remaining) for lot, remaining in left if remaining]

    async def take(
        self, account_id: UUID, amount: int, *, also_restricted: bool = False
    ) -> list[Taken]:
        """Spend what no restriction binds, or any of it; raises `NotEnoughValue` and then the whole
        service call leaves no trace."""
        lots = await self.live(account_id)
        fits = [lot for lot in lots if also_restricted or lot.restriction is None]
        taken = _from_lots(fits, amount)
        short_by = amount - sum(part.amount for part in taken)
        if short_by:
            kind = self._moving[account_id].account.kind
            raise NotEnoughValue(kind=kind, short_by=short_by)
        self.take_lots(account_id, taken)
        return taken

    async def take_all(self, account_id: UUID) -> list[Taken]:
        """Empty the account: also lots whose time has passed and whose expiry is not yet posted."""
        taken = [Taken(lot, lot.remaining) for lot in await self._unspent(account_id)]
        self.take_lots(account_id, taken)
        return taken

    def take_lots(self, account_id: UUID, taken: Iterable[Taken]) -> None:
        """Take from the very lots given, which were read under this sheet's lock."""
        moving = self._moving[account_id]
        for lot, amount in taken:
            assert lot.account_id == account_id and 0 < amount <= lot.remaining, (lot, amount)  # noqa: PT018
            self._movements[lot.id] -= amount
            moving.balance -= amount
            moving.net -= amount

    async def claw_back(self, account_id: UUID, amount: int, *, origin_id: UUID | None) -> int:
        """Take back what was given: from the lots of that origin first, then from any.

        What is missing becomes a debt that later credits fill. Returns the new debt, if any.
        """
        assert amount > 0, amount
        lots = await self._unspent(account_id)
        own = [lot for lot in lots if lot.origin_id == origin_id]
        others = [lot for lot in lots if lot.origin_id != origin_id]
        taken = _from_lots([*own, *others], amount)
        self.take_lots(account_id, taken)
        owed = amount - sum(part.amount for part in taken)
        self._moving[account_id].owe(owed)
        return owed

    def give_back(self, lot: Lot, amount: int) -> None:
        """Return value to the lot it was taken from, with its own expiry."""
        assert amount > 0, amount
        settled = self._moving[lot.account_id].receive(amount)
        self._movements[lot.id] += amount - settled

    def release_debt(self, account_id: UUID) -> int:
        """Take an account's debt off it, for another to bear; how much it was."""
        moving = self._moving[account_id]
        released, moving.debt = moving.debt, 0
        moving.net += released
        return released

    def against(self, system_account: SystemAccount, amount: int, unit: str) -> None:
        """The other side: positive receives what accounts lost, negative gave what they got."""
        if amount:
            self._entries.append(
                new_entry(
                    posting_id=self.posting.id,
                    system_account=system_account,
                    unit=unit,
                    amount=amount,
                )
            )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written: such a sheet is thrown away, not closed."""
        return not (self._movements or self._lots or any(m.net for m in self._moving.values()))

    async def close(self) -> Posting:
        """Write it all down. The entries must add up to 0 in each unit."""
        for account_id, moving in self._moving.items():
            if moving.net:
                account = moving.account
                self._entries.append(
                    new_entry(
                        posting_id=self.posting.id,
                        card_id=account.card_id,
                        gift_card_id=account.gift_card_id,
                        account_id=account_id,
                        unit=account.unit,
                        amount=moving.net,
                        balance_after=moving.balance - moving.debt,
                    )
                )
        totals: Counter[str] = Counter()
        for entry in self._entries:
            totals[entry.unit] += entry.amount
        assert not any(totals.values()), f"unbalanced: {totals}"
        await self.tx.insert(self.posting)
        await self._move_accounts()
        await self._move_lots()
        await self.tx.insert(*self._entries)
        return self.posting

    async def _move_accounts(self) -> None:
        for account_id, moving in self._moving.items():
            by = moving.balance - moving.account.balance
            debt_by = moving.debt - moving.account.debt
            if by or debt_by:
                moved = await self.tx.changed(
                    move_balance, moved_id=account_id, by=by, debt_by=debt_by
                )
                assert moved == 1, "an account moved under its lock"

    async def _move_lots(self) -> None:
        created = [
            lot._replace(remaining=lot.amount + self._movements[lot.id])  # type: ignore[attr-defined]
            for lot in self._lots.values()
        ]
        await self.tx.insert(*created)
        movements = {lot_id: by for lot_id, by in self._movements.items() if by}
        for lot_id, by in sorted(movements.items()):
            if lot_id not in self._lots:
                moved = await self.tx.changed(move_lot, lot_id=lot_id, by=by)
                assert moved == 1, "a lot moved under its account's lock"
        await self.tx.insert(
            *(
                new_movement(posting_id=self.posting.id, lot_id=lot_id, amount=by)
                for lot_id, by in movements.items()
            )
        )


async def posting_by_cause(tx: Transaction, cause_kind: str, cause_id: UUID) -> Posting | None:
    """What was posted for a cause, if it was."""
    return await tx.one(by_cause, cause_kind=cause_kind, cause_id=cause_id)


def _from_lots(lots: Iterable[Lot], amount: int) -> list[Taken]:
    """Up to `amount`, lot after lot."""
    taken = []
    for lot in lots:
        if amount == 0:
            break
        part = min(lot.remaining, amount)
        taken.append(Taken(lot, part))
        amount -= part
    return taken
