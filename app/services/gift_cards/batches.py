"""Corporate bulk orders: many cards on one invoice, their keys given out once (GFT-7).

A job makes the cards, some in one transaction. Until the keys are exported they stand encrypted
beside the order; from then on nothing but their keyed hashes is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import (
    Transaction,
    every_column,
    if_given,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.errors import BadInput, DomainError, Forbidden
from app.core.ids import LARGEST_ID, new_id
from app.core.texts import checked_text
from app.models.gift_card_batches import GiftCardBatch, GiftCardBatchCard, GiftCardBatchState
from app.models.gift_cards import (
    GiftCard,
    GiftCardKind,
    GiftCardProductState,
    GiftCardState,
)
from app.models.orders import OrderKind
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import audit, compliance, jobs, links, orders, organisation, requests
from app.services.actors import Actor
from app.services.gift_cards import holding, issuing, numbers, offers, products
from app.services.links import SignedIn

CARDS_MAX = 10_000
PART_CARDS = 100
COMPANY_CHARS_MAX = 120
REGISTRATION_CHARS_MAX = 40
INVOICE_CHARS_MAX = 64
JOB = "gift_card_batch.part"
PURPOSE = "gift card keys"

batches_by_id = statement(
    select(GiftCardBatch).where(col(GiftCardBatch.id) == bindparam("batch_id")),
    into=GiftCardBatch,
)
lock_batch = statement(
    select(GiftCardBatch).where(col(GiftCardBatch.id) == bindparam("batch_id")).with_for_update(),
    into=GiftCardBatch,
)
put_batch = upsert(
    lambda insert: (
        insert(GiftCardBatch)
        .values(every_column(GiftCardBatch))
        .on_conflict_do_nothing(index_elements=["group_id", "invoice_number", "product_id", "face"])
    )
)
count_made = statement(
    update(GiftCardBatch)
    .where(
        col(GiftCardBatch.id) == bindparam("batch_id"),
        col(GiftCardBatch.number_made) == bindparam("made_before"),
    )
    .values(number_made=bindparam("new_number_made"))
)
finish = statement(
    update(GiftCardBatch)
    .where(
        col(GiftCardBatch.id) == bindparam("batch_id"),
        col(GiftCardBatch.state) == GiftCardBatchState.MAKING,
    )
    .values(state=GiftCardBatchState.READY, finished_at=bindparam("new_finished_at"))
)
export_once = statement(
    update(GiftCardBatch)
    .where(
        col(GiftCardBatch.id) == bindparam("batch_id"),
        col(GiftCardBatch.keys_exported_at).is_(None),
    )
    .values(
        keys_exported_at=bindparam("new_exported_at"),
        keys_exported_by_id=bindparam("new_exported_by_id"),
    )
)
forget_keys = statement(
    update(GiftCardBatchCard)
    .where(col(GiftCardBatchCard.batch_id) == bindparam("batch_id"))
    .values(key=None)
)
page_of_batches = statement(
    select(GiftCardBatch)
    .join(Node, col(Node.id) == col(GiftCardBatch.perspective_id))
    .where(
        col(GiftCardBatch.group_id) == bindparam("group_id"),
        col(GiftCardBatch.id) < bindparam("before"),
        organisation.at_or_below_nodes,
        if_given("product_id", GiftCardBatch.product_id),
    )
    .order_by(col(GiftCardBatch.id).desc())
    .limit(bindparam("limit")),
    into=GiftCardBatch,
)


class Key(NamedTuple):
    """A card of a bulk order as its buyer gets it."""

    number: str
    key: str | None
    face: int
    currency: str
    expires_at: datetime | None


keys_of_batch = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        GiftCard.number,
        GiftCardBatchCard.key,
        GiftCard.face,
        GiftCard.currency,
        GiftCard.expires_at,
    )
    .join(GiftCard, col(GiftCard.id) == col(GiftCardBatchCard.gift_card_id))
    .where(col(GiftCardBatchCard.batch_id) == bindparam("batch_id"))
    .order_by(col(GiftCardBatchCard.position)),
    into=Key,
)
new_batch = light(GiftCardBatch)
new_batch_card = light(GiftCardBatchCard)


class GiftCardBatchNotFound(DomainError):
    """No such bulk order, or not where the asker may see it."""

    def __init__(self) -> None:
        super().__init__("There is no such bulk order of gift cards.")


class InvoiceAlreadyUsed(DomainError):
    """The invoice has a bulk order of this product and value already."""

    def __init__(self, invoice_number: str) -> None:
        self.invoice_number = invoice_number
        super().__init__("These gift cards were already ordered on this invoice.")


class GiftCardBatchNotReady(DomainError):
    """Cards are still being made: their keys are exported all at once."""

    def __init__(self, number_made: int) -> None:
        self.number_made = number_made
        super().__init__("The cards of this order are still being made.")


class GiftCardKeysExported(DomainError):
    """The keys were given out; there is nothing left to export."""

    def __init__(self, exported_at: datetime) -> None:
        self.exported_at = exported_at
        super().__init__("The keys of these cards were already exported.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a company buys. `amount` is paid for all cards; None is what they cost one by one."""

    product_id: UUID
    face: int
    currency: str
    number_of_cards: int
    buyer_company: str
    invoice_number: str
    method_code: str
    amount: int | None = None
    buyer_registration: str | None = None


class Created(NamedTuple):
    """A bulk order whose cards are being made."""

    batch: GiftCardBatch
    is_replay: bool


class Prepared(NamedTuple):
    """The keys of a bulk order, for whoever writes them into a file before they are forgotten."""

    actor: Actor
    batch: GiftCardBatch
    product_name: str
    zone: ZoneInfo
    made_by: str
    keys: list[Key]


async def create(
    tx: Transaction, actor: Actor, *, wanted: Wanted, request_key: str, now: datetime
) -> Created:
    """Write a bulk order down and begin to make its cards. Back office only (GFT-7).

    Raises `GiftCardProductNotFound`, `GiftCardNotOnSale`, `GiftCardAmountNotOffered`,
    `PaymentMethodUnknown`, `MethodCannotPay`, `InvoiceAlreadyUsed`, `RequestKeyReused`, what
    `compliance.require_gift_cards_of_company` raises.
    """
    if actor.kind is not PrincipalKind.STAFF:
        raise Forbidden("This is done in the back office only.")
    product = await products.of_group(tx, group_id=actor.group_id, product_id=wanted.product_id)
    perspective = await organisation.node(tx, product.perspective_id)
    actor.require(Permission.GIFT_CARDS_WRITE, perspective)
    # Their keys are cash for whoever has them: who may draft products may not make them alone.
    actor.require(Permission.ADJUSTMENTS_APPROVE, perspective)
    wanted = _checked(wanted)
    request = requests.Request(
        principal_id=actor.id,
        operation="giftCardBatchCreate",
        key=request_key,
        input={
            "product": product.id,
            "face": wanted.face,
            "currency": wanted.currency,
            "number": wanted.number_of_cards,
            "company": wanted.buyer_company,
            "registration": wanted.buyer_registration,
            "invoice": wanted.invoice_number,
            "method": wanted.method_code,
            "amount": wanted.amount,
        },
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Created(await _existing(tx, claim.answer_id), is_replay=True)
    if product.kind is not GiftCardKind.ELECTRONIC:
        raise BadInput("The keys of printed cards are on the cards: sell these at a till.")
    if wanted.currency != product.currency:
        raise BadInput(f"This product is sold in {product.currency}.")
    if product.state is not GiftCardProductState.ACTIVE:
        raise offers.GiftCardNotOnSale(product.state)
    price = products.pricing_of(product).price_of(wanted.face)
    amount = price * wanted.number_of_cards if wanted.amount is None else wanted.amount
    if not wanted.number_of_cards <= amount <= wanted.face * wanted.number_of_cards:
        raise BadInput("amount must pay something for each card, and no more than it is worth.")
    method = await orders.paying_method(
        tx, group_id=actor.group_id, code=wanted.method_code, kind=OrderKind.GIFT_CARD
    )
    await compliance.require_gift_cards_of_company(
        tx, group_id=product.group_id, face=wanted.face, amount=amount, currency=product.currency,
        method=method, now=now,
    )  # fmt: skip
    batch = new_batch(
        id=claim.answer_id,
        group_id=product.group_id,
        perspective_id=perspective.id,
        product_id=product.id,
        buyer_company=wanted.buyer_company,
        buyer_registration=wanted.buyer_registration,
        invoice_number=wanted.invoice_number,
        payment_method_id=method.id,
        currency=product.currency,
        face=wanted.face,
        amount=amount,
        number_of_cards=wanted.number_of_cards,
        terms={
            "card": products.terms_of(product), "scope_id": str(product.scope_id),
            "design": product.designs[0],
        },
        operator_id=actor.id,
        created_at=now,
    )  # fmt: skip
    if not await tx.changed(put_batch, **values_of(batch)):
        raise InvoiceAlreadyUsed(wanted.invoice_number)
    await audit.record(
        tx, actor, "gift_card_batch.create", object_kind="gift_card_batch", object_id=batch.id,
        node_id=perspective.id, now=now, product=product.id, number=batch.number_of_cards,
        face=batch.face, amount=batch.amount, method=method.code,
    )  # fmt: skip
    await jobs.enqueue(tx, JOB, {"batch_id": batch.id}, now=now)
    return Created(batch, is_replay=False)


def _checked(wanted: Wanted) -> Wanted:
    """With the buyer and the invoice as they are kept. Raises `BadInput`."""
    if not 1 <= wanted.number_of_cards <= CARDS_MAX:
        raise BadInput(f"numberOfCards must be between 1 and {CARDS_MAX}.")
    number = wanted.buyer_registration
    if number is not None:
        number = checked_text("buyerRegistration", number, at_most=REGISTRATION_CHARS_MAX)
    return replace(
        wanted,
        buyer_company=checked_text("buyerCompany", wanted.buyer_company, at_most=COMPANY_CHARS_MAX),
        buyer_registration=number,
        invoice_number=checked_text(
            "invoiceNumber", wanted.invoice_number, at_most=INVOICE_CHARS_MAX
        ),
    )


async def work_on(tx: Transaction, *, batch_id: UUID, now: datetime) -> None:
    """Make the next cards of a bulk order, and have those after them made; for the job of `JOB`."""
    batch = await tx.one(lock_batch, batch_id=batch_id)
    assert batch is not None
    left = batch.number_of_cards - batch.number_made
    if not left:
        await tx.changed(finish, batch_id=batch.id, new_finished_at=now)
        return
    made = min(left, PART_CARDS)
    free = await numbers.free_numbers(tx, group_id=batch.group_id, how_many=made)
    for position, number in enumerate(free, start=batch.number_made):
        await _make(tx, batch, position, number, now)
    counted = await tx.changed(
        count_made,
        batch_id=batch.id,
        made_before=batch.number_made,
        new_number_made=batch.number_made + made,
    )
    assert counted == 1, "a bulk order moved under its lock"
    await jobs.enqueue(tx, JOB, {"batch_id": batch.id}, now=now)


async def _make(
    tx: Transaction, batch: GiftCardBatch, position: int, number: str, now: datetime
) -> None:
    """One card, active and worth its face; its key goes beside the order."""
    terms: Mapping[str, Any] = batch.terms
    sale = issuing.Sale(
        face=batch.face,
        cash=cash_of(batch, position),
        terms=terms["card"],
        scope_id=UUID(terms["scope_id"]),
        design=terms["design"],
        actor_kind=PrincipalKind.STAFF,
        actor_id=batch.operator_id,
        payment_method_id=batch.payment_method_id,
    )
    key = numbers.new_key()
    card = holding.new_gift_card(
        id=new_id(),
        group_id=batch.group_id,
        product_id=batch.product_id,
        kind=GiftCardKind.ELECTRONIC,
        number=number,
        key_index=numbers.key_index(number, key),
        state=GiftCardState.ACTIVE,
        currency=batch.currency,
        created_at=now,
        **sale.columns(now),
    )
    beside = new_batch_card(batch_id=batch.id, position=position, gift_card_id=card.id, key=key)
    await tx.insert(card, beside)
    await issuing.fill(tx, [card], sale, now)


def cash_of(batch: GiftCardBatch, position: int) -> int:
    """What of the order's amount paid for the card at a position, from 0: together it is all."""
    each, left = divmod(batch.amount, batch.number_of_cards)
    return each + (position < left)


async def keys_link(
    tx: Transaction, actor: Actor, *, batch_id: UUID, signed_in: SignedIn, now: datetime
) -> str:
    """The secret of a link to a bulk order's keys.

    Raises `GiftCardBatchNotFound`, `GiftCardBatchNotReady`, `GiftCardKeysExported`.
    """
    batch = await _exportable(tx, actor, batch_id)
    await audit.record(
        tx, actor, "gift_card_batch.keys_link", object_kind="gift_card_batch", object_id=batch.id,
        node_id=batch.perspective_id, now=now,
    )  # fmt: skip
    return await links.make(
        tx, actor, purpose=PURPOSE, asked={"batch": str(batch.id)}, signed_in=signed_in, now=now
    )


async def prepare(tx: Transaction, *, secret: str, now: datetime) -> Prepared:
    """Take a link to keys, which only one can, and read them.

    Nothing is forgotten yet: first they are written to a file, then `hand_out` decides whose file
    leaves. Raises as `links.follow` and `keys_link`.
    """
    actor, asked = await links.follow(tx, purpose=PURPOSE, secret=secret, now=now)
    batch = await _exportable(tx, actor, UUID(asked["batch"]))
    product = await products.of_group(tx, group_id=batch.group_id, product_id=batch.product_id)
    perspective = await organisation.node(tx, batch.perspective_id)
    return Prepared(
        actor=actor,
        batch=batch,
        product_name=product.name,
        zone=ZoneInfo(perspective.time_zone),
        made_by=await links.name_of(tx, actor),
        keys=await tx.all(keys_of_batch, batch_id=batch.id),
    )


async def hand_out(tx: Transaction, prepared: Prepared, *, now: datetime) -> None:
    """Forget the keys of a bulk order, for one file that holds them and no other (GFT-7).

    Raises `GiftCardKeysExported` for all but the first.
    """
    actor, batch = prepared.actor, prepared.batch
    if not await tx.changed(
        export_once, batch_id=batch.id, new_exported_at=now, new_exported_by_id=actor.id
    ):
        exported_at = (await _existing(tx, batch.id)).keys_exported_at
        assert exported_at is not None
        raise GiftCardKeysExported(exported_at)
    forgotten = await tx.changed(forget_keys, batch_id=batch.id)
    assert forgotten == batch.number_of_cards, "each card has its key until now"
    await audit.record(
        tx, actor, "gift_card_batch.export_keys", object_kind="gift_card_batch",
        object_id=batch.id, node_id=batch.perspective_id, now=now, number=forgotten,
    )  # fmt: skip


async def seen_by(tx: Transaction, actor: Actor, *, batch_id: UUID) -> GiftCardBatch | None:
    """A bulk order, if the actor may read it."""
    batch = await tx.one(batches_by_id, batch_id=batch_id)
    if batch is None or batch.group_id != actor.group_id:
        return None
    perspective = await organisation.node(tx, batch.perspective_id)
    return batch if actor.may(Permission.GIFT_CARDS_READ, perspective) else None


async def page(
    tx: Transaction, actor: Actor, *, product_id: UUID | None, before: UUID | None, limit: int
) -> list[GiftCardBatch]:
    """Bulk orders where the actor may read them, newest first."""
    actor.require_any(Permission.GIFT_CARDS_READ)
    return await tx.all(
        page_of_batches,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.GIFT_CARDS_READ),
        product_id=product_id,
        before=before or LARGEST_ID,
        limit=limit,
    )


async def _exportable(tx: Transaction, actor: Actor, batch_id: UUID) -> GiftCardBatch:
    if actor.kind is not PrincipalKind.STAFF:
        raise Forbidden("Keys are exported by people.")
    batch = await seen_by(tx, actor, batch_id=batch_id)
    if batch is None:
        raise GiftCardBatchNotFound
    perspective = await organisation.node(tx, batch.perspective_id)
    actor.require(Permission.GIFT_CARDS_EXPORT_KEYS, perspective)
    if batch.state is GiftCardBatchState.MAKING:
        raise GiftCardBatchNotReady(batch.number_made)
    if batch.keys_exported_at is not None:
        raise GiftCardKeysExported(batch.keys_exported_at)
    return batch


async def _existing(tx: Transaction, batch_id: UUID) -> GiftCardBatch:
    found = await tx.one(batches_by_id, batch_id=batch_id)
    assert found is not None
    return found
