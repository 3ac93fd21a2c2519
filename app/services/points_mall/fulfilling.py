"""How a redeemed thing reaches its member: over a counter by a code, or by post (MAL-3).

A state follows another by one guarded UPDATE, so that a till that hands over and a member who
calls off cannot both succeed.
"""

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import orjson
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Statement, Transaction, any_of, light, statement
from app.core.errors import DomainError
from app.core.personal import index_of
from app.core.phones import normal_phone
from app.core.texts import checked_paragraphs, checked_text
from app.models.members import MemberStatus
from app.models.orders import Order
from app.models.organisation import Node
from app.models.points_mall import Fulfilment, FulfilmentState, FulfilmentWay
from app.models.staff import Permission
from app.services import audit, limits, live, members, notices, orders, organisation
from app.services.actors import Actor

TABLE: Any = Fulfilment.__table__  # type: ignore[attr-defined]
NAME_CHARS_MAX: Final = 64
ADDRESS_CHARS_MAX: Final = 300
CARRIER_CHARS_MAX: Final = 64
TRACKING_CHARS_MAX: Final = 64
CODE_DIGITS: Final = 10
CODE_CHARS_READ_MAX: Final = 40
WRONG_WINDOW: Final = timedelta(hours=1)
WRONG_PER_TERMINAL_MAX: Final = 20
READY_NOTICE: Final = "MALL_ORDER_READY"
SHIPPED_NOTICE: Final = "MALL_ORDER_SHIPPED"

State = FulfilmentState
OPEN: Final = (State.WAITING, State.READY)
"""Paid and still with us: the member may call it off."""
RETURNABLE: Final = (*OPEN, State.SHIPPED)
"""Staff may take back a parcel that came back, or never arrived."""

of_orders = statement(
    select(Fulfilment).where(any_of(col(Fulfilment.order_id), "order_ids")), into=Fulfilment
)
lock_of_order = statement(
    select(Fulfilment)
    .where(col(Fulfilment.order_id) == bindparam("order_id"))
    .with_for_update(key_share=True),
    into=Fulfilment,
)
by_code = statement(
    select(Fulfilment).where(col(Fulfilment.pick_up_code_index) == bindparam("code_index")),
    into=Fulfilment,
)


def _moved_to(state: FulfilmentState, **values: Any) -> Statement[Fulfilment]:
    """An order's fulfilment goes from one of some states to another."""
    return statement(
        update(Fulfilment)
        .where(
            col(Fulfilment.order_id) == bindparam("of_order_id"),
            any_of(col(Fulfilment.state), "from_states"),
        )
        .values(state=state, **values)
        .returning(*TABLE.columns),
        into=Fulfilment,
    )


_spent_code = {"pick_up_code": None, "pick_up_code_index": None}
begin = _moved_to(State.WAITING)
make_ready = _moved_to(State.READY, ready_at=bindparam("at"))
send = _moved_to(
    State.SHIPPED,
    shipped_at=bindparam("at"),
    carrier=bindparam("new_carrier"),
    tracking_number=bindparam("new_tracking_number"),
)
hand_out = _moved_to(State.PICKED_UP, ended_at=bindparam("at"), **_spent_code)
arrive = _moved_to(State.DELIVERED, ended_at=bindparam("at"))
# Nobody needs to know any more where it should have gone.
call_off = _moved_to(State.CANCELLED, ended_at=bindparam("at"), recipient=None, **_spent_code)
open_of_member = statement(
    select(Fulfilment.order_id)
    .where(
        col(Fulfilment.member_id).in_(members.own_records),
        any_of(col(Fulfilment.state), "states"),
    )
    .limit(1),
    into=UUID,
)
forget_recipients = statement(
    update(Fulfilment)
    .where(
        col(Fulfilment.member_id).in_(members.own_records),
        col(Fulfilment.recipient).is_not(None),
    )
    .values(recipient=None)
)
new_fulfilment = light(Fulfilment)


class MallOrderNotFound(DomainError):
    """No such redemption, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such redemption.")


class FulfilmentNotOpen(DomainError):
    """In this state, or in this way, that cannot be done with the redemption (MAL-3)."""

    def __init__(self, fulfilment: Fulfilment) -> None:
        self.state = fulfilment.state
        self.way = fulfilment.way
        words = fulfilment.state.lower().replace("_", " ")
        super().__init__(f"This cannot be done with a redemption that is {words}.")


class RedemptionDelivered(DomainError):
    """What is no thing was there at once: staff may take it back while it is unused (MAL-3)."""

    def __init__(self) -> None:
        super().__init__("This is yours already. Ask a store if something is wrong with it.")


class PickUpCodeRefused(DomainError):
    """Unknown, used, of another store or not paid yet: never said which. The try counts."""

    keeps_changes = True

    def __init__(self) -> None:
        super().__init__("This code picks nothing up here.")


class Redemption(NamedTuple):
    """An order of the mall, and how its thing reaches the member if it is one."""

    order: Order
    fulfilment: Fulfilment | None

    @property
    def id(self) -> UUID:
        return self.order.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who gets a parcel, and where."""

    name: str
    phone: str
    address: str

    def checked(self) -> Self:
        """As it is kept; raises `BadInput`, `InvalidPhone`."""
        return type(self)(
            name=checked_text("name", self.name, at_most=NAME_CHARS_MAX),
            phone=normal_phone(self.phone),
            address=checked_paragraphs("address", self.address, at_most=ADDRESS_CHARS_MAX),
        )

    def text(self) -> str:
        """For the encrypted column."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(**orjson.loads(text))


def drafted(
    order: Order, *, store: Node | None, recipient: Recipient | None, now: datetime
) -> Fulfilment:
    """How an order's thing shall reach its member: at the store, or where the recipient is."""
    assert (store is None) != (recipient is None)
    code = None if store is None else f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    return new_fulfilment(
        group_id=order.group_id,
        order_id=order.id,
        perspective_id=order.perspective_id,
        item_id=order.product_id,
        member_id=order.member_id,
        way=FulfilmentWay.SHIPPING if store is None else FulfilmentWay.PICK_UP,
        state=State.UNPAID,
        store_id=None if store is None else store.id,
        pick_up_code=code,
        pick_up_code_index=None if code is None else _index(code),
        recipient=None if recipient is None else recipient.text(),
        created_at=now,
    )


async def by_order(tx: Transaction, order_ids: Collection[UUID]) -> dict[UUID, Fulfilment]:
    """The fulfilments of orders; coupons and the like have none."""
    found = await tx.all(of_orders, order_ids=list(order_ids))
    return {row.order_id: row for row in found}


async def start(tx: Transaction, order: Order) -> None:
    """The order is paid: its thing waits to be handed over or sent."""
    begun = await tx.one(begin, of_order_id=order.id, from_states=[State.UNPAID])
    assert begun is not None, "an order was paid twice under its lock"


async def cancel(
    tx: Transaction, order: Order, *, from_states: Collection[FulfilmentState], now: datetime
) -> None:
    """The order is over, and what was reserved for it is free. Raises `FulfilmentNotOpen`."""
    ended = await tx.one(call_off, of_order_id=order.id, from_states=list(from_states), at=now)
    if ended is None:
        raise FulfilmentNotOpen((await by_order(tx, [order.id]))[order.id])


async def require_with_us(tx: Transaction, order: Order) -> None:
    """Raise unless what the order is for lies with us still, and stays until this transaction
    ends: then its member may call it off.

    Raises `FulfilmentNotOpen`, `RedemptionDelivered`.
    """
    found = await tx.one(lock_of_order, order_id=order.id)
    if found is None:
        raise RedemptionDelivered
    if found.state not in OPEN:
        raise FulfilmentNotOpen(found)


async def recipient(tx: Transaction, actor: Actor, *, order_id: UUID, now: datetime) -> Recipient:
    """Who gets a parcel, where; that somebody looked is written down (SEC-2).

    Raises `MallOrderNotFound`, also where there is no address any more.
    """
    found = (await by_order(tx, [order_id])).get(order_id)
    if found is None or found.group_id != actor.group_id or found.recipient is None:
        raise MallOrderNotFound
    actor.require(Permission.MALL_FULFIL, await home(tx, found))
    await _record(tx, actor, "mall_order.unmask", found, now)
    return Recipient.of(found.recipient)


async def mark_ready(tx: Transaction, actor: Actor, *, order_id: UUID, now: datetime) -> Redemption:
    """It lies ready at its store, and the member hears of it (MAL-3).

    Raises `MallOrderNotFound`, `FulfilmentNotOpen`.
    """
    found = await _for(tx, actor, order_id, FulfilmentWay.PICK_UP)
    ready = await _move(tx, actor, found, make_ready, (State.WAITING,), "mall_order.ready", now)
    await _tell(tx, READY_NOTICE, found, now)
    return ready


async def ship(
    tx: Transaction,
    actor: Actor,
    *,
    order_id: UUID,
    carrier: str,
    tracking_number: str,
    now: datetime,
) -> Redemption:
    """It is on its way, and the member hears of it once; said again, it corrects the carrier and
    the number (MAL-3).

    Raises `MallOrderNotFound`, `FulfilmentNotOpen`.
    """
    carrier = checked_text("carrier", carrier, at_most=CARRIER_CHARS_MAX)
    number = checked_text("trackingNumber", tracking_number, at_most=TRACKING_CHARS_MAX)
    found = await _for(tx, actor, order_id, FulfilmentWay.SHIPPING)
    sent = await _move(
        tx, actor, found, send, (State.WAITING, State.SHIPPED), "mall_order.ship", now,
        new_carrier=carrier, new_tracking_number=number,
    )  # fmt: skip
    await _tell(tx, SHIPPED_NOTICE, found, now)
    return sent


async def mark_delivered(
    tx: Transaction, actor: Actor, *, order_id: UUID, now: datetime
) -> Redemption:
    """The parcel arrived (MAL-3). Raises `MallOrderNotFound`, `FulfilmentNotOpen`."""
    found = await _for(tx, actor, order_id, FulfilmentWay.SHIPPING)
    return await _move(tx, actor, found, arrive, (State.SHIPPED,), "mall_order.deliver", now)


async def hand_over(
    tx: Transaction, actor: Actor, *, terminal_id: UUID, code: str, now: datetime
) -> Redemption:
    """A member shows their code at the store where it lies: it is theirs, once (MAL-3).

    Raises `TerminalNotFound`, `PickUpCodeRefused`, `TooManyRequests`.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.MALL_FULFIL, store)
    subject = f"wrong-pick-up-codes-at:{terminal.id}"
    await limits.spend(
        tx, subject=subject, at_most=WRONG_PER_TERMINAL_MAX, window=WRONG_WINDOW, now=now
    )
    plain = _normal_code(code)
    found = await tx.one(by_code, code_index=_index(plain)) if plain else None
    if found is None or found.store_id != store.id or found.state not in OPEN:
        raise PickUpCodeRefused
    handed = await tx.one(hand_out, of_order_id=found.order_id, from_states=list(OPEN), at=now)
    if handed is None:  # it was handed over or called off since it was read
        raise PickUpCodeRefused
    await limits.take_back(tx, subject=subject, window=WRONG_WINDOW, now=now)
    await _record(tx, actor, "mall_order.hand_over", handed, now, terminal=terminal.id)
    return Redemption(await orders.existing(tx, handed.order_id), handed)


async def home(tx: Transaction, fulfilment: Fulfilment) -> Node:
    """Where it is seen to: at its store, or where the item was made (ORG-1)."""
    return await organisation.node(tx, fulfilment.store_id or fulfilment.perspective_id)


async def is_awaited(tx: Transaction, *, member_id: UUID) -> bool:
    """Whether something a living member redeemed has not left us yet."""
    states = [State.UNPAID, *OPEN]
    return await tx.one(open_of_member, member_id=member_id, states=states) is not None


async def forget(tx: Transaction, *, member_id: UUID) -> None:
    """Erase the addresses that a living member gave: the account is closed (IDN-8)."""
    await tx.changed(forget_recipients, member_id=member_id)


async def _for(tx: Transaction, actor: Actor, order_id: UUID, way: FulfilmentWay) -> Fulfilment:
    """What the actor may see to, if it goes that way."""
    found = (await by_order(tx, [order_id])).get(order_id)
    if found is None or found.group_id != actor.group_id:
        raise MallOrderNotFound
    actor.require(Permission.MALL_FULFIL, await home(tx, found))
    if found.way is not way:
        raise FulfilmentNotOpen(found)
    return found


async def _move(
    tx: Transaction,
    actor: Actor,
    found: Fulfilment,
    to: Statement[Fulfilment],
    from_states: Collection[FulfilmentState],
    action: str,
    now: datetime,
    **values: Any,
) -> Redemption:
    moved = await tx.one(
        to, of_order_id=found.order_id, from_states=list(from_states), at=now, **values
    )
    if moved is None:
        raise FulfilmentNotOpen((await by_order(tx, [found.order_id]))[found.order_id])
    await _record(tx, actor, action, moved, now)
    return Redemption(await orders.existing(tx, moved.order_id), moved)


async def _tell(tx: Transaction, kind: str, of: Fulfilment, now: datetime) -> None:
    """Let whoever redeemed it hear of it, once; nobody where the account was closed since."""
    member = await members.living(tx, of.member_id)
    if member.status is not MemberStatus.ACTIVE:
        return
    notice = notices.new_notice(
        group_id=of.group_id,
        # The record that ordered: its notices are the survivor's, and a merge makes it no new one.
        member_id=of.member_id,
        kind=kind,
        unique_key=f"{kind.lower()}:{of.order_id}",
        details={"mall_order_id": str(of.order_id)},
        created_at=now,
    )
    for written in await notices.write(tx, [notice]):
        live.tell(tx, member.id, "NOTICE", object_id=written.id, now=now)


async def _record(
    tx: Transaction, actor: Actor, action: str, of: Fulfilment, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="order", object_id=of.order_id,
        node_id=of.store_id or of.perspective_id, now=now, **details,
    )  # fmt: skip


def _normal_code(code: str) -> str:
    """A code as it is kept; what is none is ''."""
    if len(code) > CODE_CHARS_READ_MAX:
        return ""
    plain = "".join(c for c in code if c not in " -\u00a0")
    is_code = len(plain) == CODE_DIGITS and plain.isascii() and plain.isdigit()
    return plain if is_code else ""


def _index(code: str) -> str:
    return index_of(code, "fulfilments.pick_up_code")
