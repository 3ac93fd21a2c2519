"""CRD-8: what a holder proves before a card pays."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.models.cards import Card, CardStatus, ConsumptionVerification
from app.models.identities import IdentityKind
from app.models.operations import AuditRecord, Job
from app.services import cards, consumption, identities, tickets
from app.services.consumption import PinTooSimple, require_pin
from app.services.identities import Proof
from app.services.verification_codes import SEND_JOB
from tests.factories.cards import Counter, a_scheme, counter, the_card
from tests.factories.ledger import nothing_moves
from tests.factories.reading import every

pytestmark = pytest.mark.anyio

PHONE = "+8613812341234"
PIN = "280517"
SEND = """mutation ($phone: String!) { verificationCodeSend(
  input: {channel: SMS, target: $phone, purpose: CARD_PIN}) { __typename } }"""
SET = """mutation ($card: ID!, $phone: String!, $code: String!, $pin: String!) {
  cardSetPin(input: {cardId: $card, phone: $phone, code: $code, pin: $pin}) {
    __typename ... on Card { id } ... on Problem { message } } }"""
PROOF = """__typename
  ... on ConsumptionVerified { verification expiresAt }
  ... on PinWrong { triesLeft }
  ... on CardNotUsable { status }"""
VERIFY_PIN = f"""mutation ($terminal: ID!, $card: ID!, $pin: String!) {{
  cardVerifyPin(input: {{terminalId: $terminal, cardId: $card, pin: $pin}}) {{ {PROOF} }} }}"""
SEND_TO_HOLDER = """mutation ($terminal: ID!, $card: ID!) {
  cardVerificationCodeSend(input: {terminalId: $terminal, cardId: $card}) { __typename
    ... on VerificationCodeSent { expiresAt nextAllowedAt } ... on CodesTooOften { retryAt } } }"""
VERIFY_CODE = """mutation ($terminal: ID!, $card: ID!, $code: String!) {
  cardVerifyCode(input: {terminalId: $terminal, cardId: $card, code: $code}) {
    __typename ... on ConsumptionVerified { verification } } }"""

newest_job = statement(
    select(Job.payload).where(col(Job.kind) == SEND_JOB).order_by(col(Job.id).desc()).limit(1),
    into=str,
)

records_of = statement(
    select(AuditRecord)
    .where(col(AuditRecord.object_id) == bindparam("card_id"))
    .order_by(col(AuditRecord.id)),
    into=AuditRecord,
)


@dataclass
class Holder:
    """A member with a phone and a card whose scheme asks for a PIN."""

    till: Counter
    card: Card

    @property
    def card_id(self) -> str:
        return type_id("card", self.card.id)

    async def sent_code(self) -> str:
        payload = await self.till.database.read(lambda tx: tx.one(newest_job))
        assert payload
        return str(orjson.loads(payload)["code"])

    async def set_pin(self, pin: str = PIN, *, till: Counter | None = None) -> Any:
        till = till or self.till
        sent = await till.as_member(SEND, member_id=self.card.member_id, phone=PHONE)
        assert sent == {"__typename": "VerificationCodeSent"}
        return await self.try_to_set(till, code=await self.sent_code(), pin=pin)

    async def try_to_set(self, till: Counter | None = None, **change: str) -> Any:
        asked: dict[str, Any] = {"card": self.card_id, "phone": PHONE, "code": "", "pin": PIN}
        return await (till or self.till).as_member(
            SET, member_id=self.card.member_id, **asked | change
        )

    async def verify(self, pin: str, *, till: Counter | None = None, **change: Any) -> Any:
        till = till or self.till
        asked: dict[str, Any] = {
            "terminal": till.terminal_id,
            "card": self.card_id,
            "pin": pin,
        } | change
        return await till.as_staff(VERIFY_PIN, **asked)

    async def failures(self) -> int:
        return (await self.till.database.read(the_card, self.card.id)).pin_failures


async def with_phone(tx: Transaction, till: Counter) -> Card:
    proofs = [Proof(IdentityKind.PHONE, PHONE)]
    signed_in = await identities.sign_in(
        tx, group_id=till.shop.places.group.id, proofs=proofs, now=till.now
    )
    return await cards.open_card(
        tx, member=signed_in.member, scheme=till.shop.scheme, store_id=None, now=till.now
    )


@pytest.fixture
async def holder(database: Database, now: datetime) -> Holder:
    till = await counter(database, now)
    return Holder(till, await database.run(with_phone, till))


async def spend(
    tx: Transaction, holder: Holder, verification: str | None, *, later: timedelta = timedelta()
) -> None:
    """As stored value will: at the coffee store."""
    await consumption.require_verified(
        tx,
        card=holder.card,
        store=holder.till.shop.store,
        verification=verification,
        now=holder.till.now + later,
    )


# Setting a PIN


async def test_a_pin_is_set_with_a_code_and_verifies(holder: Holder) -> None:
    """CRD-8: hashed, never kept."""
    assert await holder.set_pin() == {"__typename": "Card", "id": holder.card_id}
    row = await holder.till.database.read(the_card, holder.card.id)
    assert row.pin_hash is not None
    assert row.pin_hash.startswith("$argon2id$")
    assert PIN not in row.pin_hash
    verified = await holder.verify(PIN)
    assert verified["__typename"] == "ConsumptionVerified"
    assert verified["expiresAt"] == (holder.till.now + timedelta(minutes=5)).isoformat()


@pytest.mark.parametrize(
    "pin",
    [
        "",
        "12345",
        "1234567",
        "000000",
        "123456",
        "654321",
        "٢٨٠٥١٧",
        "28051a",
        "28 517",
        "2\x00051",
    ],
)
async def test_a_pin_everybody_tries_first_is_refused(holder: Holder, pin: str) -> None:
    async with nothing_moves(holder.till.database):
        refused = await holder.try_to_set(pin=pin, code="123456")
        assert refused["__typename"] == "PinTooSimple"
    with pytest.raises(PinTooSimple):
        require_pin(pin)


async def test_a_pin_needs_a_right_code_to_the_holders_own_phone(holder: Holder) -> None:
    """CRD-8: no code, a wrong one, one for another purpose or phone: the PIN stays."""
    till = holder.till
    await till.as_member(SEND, member_id=holder.card.member_id, phone=PHONE)
    code = await holder.sent_code()
    wrong = "000000" if code != "000000" else "111111"
    assert (await holder.try_to_set(code=wrong))["__typename"] == "CodeRefused"
    assert (await holder.try_to_set(code=code, phone="x"))["__typename"] == "TargetInvalid"
    gone = await holder.try_to_set(code=code, card=type_id("card", new_id()))
    assert gone["__typename"] == "CardNotFound"
    stranger = await till.as_member(
        SET, member_id=till.shop.member.id, card=holder.card_id, phone=PHONE, code=code, pin=PIN
    )
    assert stranger["__typename"] == "CardNotFound"
    # A code that was truly sent, but to a phone that is not this member's.
    await till.as_member(SEND, phone="+8613987654321")
    other = await holder.sent_code()
    refused = await holder.try_to_set(code=other, phone="+8613987654321")
    assert refused["__typename"] == "CodeRefused"
    assert (await till.database.read(the_card, holder.card.id)).pin_hash is None
    assert (await holder.try_to_set(code=code))["__typename"] == "Card"
    assert (await holder.try_to_set(code=code))["__typename"] == "CodeRefused", "used up"


# The PIN at the till


async def test_five_wrong_pins_lock_it_and_a_new_one_opens_it(holder: Holder) -> None:
    """CRD-8: locked after 5 failures, also for the right PIN."""
    await holder.set_pin()
    for left in (4, 3, 2, 1, 0):
        wrong = await holder.verify("280518")
        assert wrong == {"__typename": "PinWrong", "triesLeft": left}
    for pin in (PIN, "280518"):
        assert await holder.verify(pin) == {"__typename": "PinLocked"}
    later = holder.till.later(minutes=2)
    await holder.set_pin("910246", till=later)
    assert (await holder.verify("910246", till=later))["__typename"] == "ConsumptionVerified"
    assert (await holder.verify(PIN, till=later))["triesLeft"] == 4


async def test_guesses_made_at_once_all_count(holder: Holder) -> None:
    """CRD-8: of twenty at once five are judged, the others find it locked."""
    await holder.set_pin()
    answers = await asyncio.gather(*(holder.verify(f"{i:06d}") for i in range(20)))
    names = sorted(answer["__typename"] for answer in answers)
    assert names == ["PinLocked"] * 15 + ["PinWrong"] * 5
    assert await holder.failures() == 5
    assert await holder.verify(PIN) == {"__typename": "PinLocked"}


async def test_a_right_pin_takes_wrong_ones_back(holder: Holder) -> None:
    await holder.set_pin()
    await holder.verify("000001")
    assert await holder.failures() == 1
    assert (await holder.verify(PIN))["__typename"] == "ConsumptionVerified"
    assert await holder.failures() == 0


async def test_a_card_without_a_pin_verifies_by_none(holder: Holder) -> None:
    for pin in ("", "000000", "x" * 5_000):
        assert (await holder.verify(pin))["__typename"] == "PinWrong"


async def test_a_pin_counts_only_where_the_card_can_be_used(holder: Holder) -> None:
    """CRD-1, CRD-3: no guess is spent at a till that has nothing to do with it."""
    till = holder.till
    await holder.set_pin()
    at_tea = till.other_terminal_id
    foreign = await till.as_staff(
        VERIFY_PIN, who=till.shop.cashier, terminal=at_tea, card=holder.card_id, pin="1"
    )
    assert foreign == "FORBIDDEN"
    unknown = await holder.verify("1", terminal=type_id("term", new_id()))
    assert unknown == {"__typename": "TerminalNotFound"}
    gone = await holder.verify("1", card=type_id("card", new_id()))
    assert gone == {"__typename": "CardNotFound"}
    of_tea = await till.database.run(a_scheme, perspective=till.shop.places.tea, now=till.now)
    tea_card = await till.database.run(
        cards.open_card, member=till.shop.member, scheme=of_tea, store_id=None, now=till.now
    )
    away = await holder.verify("1", card=type_id("card", tea_card.id))
    assert away == {"__typename": "NotAtThisStore"}
    await till.database.run(
        lambda tx: tx.changed(
            cards.change_status,
            card_id=holder.card.id,
            from_status=CardStatus.NORMAL,
            to_status=CardStatus.FROZEN,
        )
    )
    assert await holder.verify(PIN) == {"__typename": "CardNotUsable", "status": "FROZEN"}
    assert await holder.failures() == 0


# A code by SMS


async def test_a_code_sent_to_the_holder_verifies_once(holder: Holder) -> None:
    """CRD-8: the till never learns the number."""
    till = holder.till
    asked: dict[str, Any] = {"terminal": till.terminal_id, "card": holder.card_id}
    sent = await till.as_staff(SEND_TO_HOLDER, **asked)
    assert sent["__typename"] == "VerificationCodeSent"
    assert (await till.as_staff(SEND_TO_HOLDER, **asked))["__typename"] == "CodesTooOften"
    code = await holder.sent_code()
    wrong = "000000" if code != "000000" else "111111"
    assert await till.as_staff(VERIFY_CODE, **asked, code=wrong) == {"__typename": "CodeRefused"}
    verified = await till.as_staff(VERIFY_CODE, **asked, code=code)
    assert verified["__typename"] == "ConsumptionVerified"
    assert await till.as_staff(VERIFY_CODE, **asked, code=code) == {"__typename": "CodeRefused"}
    await till.database.run(spend, holder, verified["verification"])


async def test_a_code_is_guessed_five_times_at_most(holder: Holder) -> None:
    till = holder.till
    asked: dict[str, Any] = {"terminal": till.terminal_id, "card": holder.card_id}
    await till.as_staff(SEND_TO_HOLDER, **asked)
    code = await holder.sent_code()
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(5):
        await till.as_staff(VERIFY_CODE, **asked, code=wrong)
    assert await till.as_staff(VERIFY_CODE, **asked, code=code) == {"__typename": "CodeRefused"}


async def test_who_has_no_phone_gets_no_code(holder: Holder) -> None:
    till = holder.till
    asked: dict[str, Any] = {"terminal": till.terminal_id, "card": till.card_id}
    assert await till.as_staff(SEND_TO_HOLDER, **asked) == {"__typename": "NoPhone"}
    assert await till.as_staff(VERIFY_CODE, **asked, code="1") == {"__typename": "NoPhone"}


# What is on record


async def acts(holder: Holder) -> list[tuple[str, str | None]]:
    """What was done with the card at the till and how it went, oldest first."""
    found = await every(holder.till.database, records_of, card_id=holder.card.id)
    shop = holder.till.shop
    assert {(row.actor_id, row.node_id) for row in found} <= {(shop.owner.staff.id, shop.store.id)}
    assert {row.details["terminal"] for row in found} <= {str(shop.terminal.id)}
    return [(row.action, row.details.get("outcome")) for row in found]


async def test_every_pin_that_was_tried_is_on_record(holder: Holder) -> None:
    """SEC-3: by whom, where, and how it went; the PIN itself is not."""
    await holder.set_pin()
    await holder.verify(PIN)
    for _ in range(6):
        await holder.verify("280518")
    await holder.verify(PIN)
    assert await acts(holder) == [
        ("card.verify_pin", "verified"),
        *[("card.verify_pin", "wrong")] * 5,
        *[("card.verify_pin", "locked")] * 2,
    ]


async def test_every_code_that_was_sent_or_tried_is_on_record(holder: Holder) -> None:
    """SEC-3: the code and the number are not; what was refused before it began is neither."""
    till = holder.till
    asked: dict[str, Any] = {"terminal": till.terminal_id, "card": holder.card_id}
    await till.as_staff(SEND_TO_HOLDER, **asked)
    await till.as_staff(SEND_TO_HOLDER, **asked)
    code = await holder.sent_code()
    wrong = "000000" if code != "000000" else "111111"
    for given in (wrong, code, code):
        await till.as_staff(VERIFY_CODE, **asked, code=given)
    assert await acts(holder) == [
        ("card.send_code", None),
        ("card.verify_code", "wrong"),
        ("card.verify_code", "verified"),
        ("card.verify_code", "wrong"),
    ]


# What a proof is worth


async def test_a_proof_is_used_up_on_its_card_and_in_its_store(holder: Holder) -> None:
    """CRD-8: single use, bound, and short."""
    till = holder.till
    await holder.set_pin()
    verification = (await holder.verify(PIN))["verification"]
    await till.database.run(spend, holder, verification)
    for again in (verification, None, "", "x"):
        with pytest.raises(tickets.TicketRefused):
            await till.database.run(spend, holder, again)
    elsewhere = (await holder.verify(PIN, terminal=till.other_terminal_id))["verification"]
    with pytest.raises(tickets.TicketRefused):
        await till.database.run(spend, holder, elsewhere)
    old = (await holder.verify(PIN))["verification"]
    with pytest.raises(tickets.TicketRefused):
        await till.database.run(spend, holder, old, later=timedelta(minutes=5))


async def test_a_proof_is_spent_once_by_two_at_once(holder: Holder) -> None:
    await holder.set_pin()
    verification = (await holder.verify(PIN))["verification"]
    outcomes = await asyncio.gather(
        *(holder.till.database.run(spend, holder, verification) for _ in range(8)),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, tickets.TicketRefused)]
    assert (len(refused), outcomes.count(None)) == (7, 1)


async def test_a_scheme_that_asks_for_nothing_needs_no_proof(holder: Holder) -> None:
    till = holder.till
    free = await till.database.run(
        a_scheme,
        perspective=till.shop.places.group,
        now=till.now,
        consumption_verification=ConsumptionVerification.NONE,
    )
    card = await till.database.run(
        cards.open_card, member=till.shop.member, scheme=free, store_id=None, now=till.now
    )
    await till.database.run(spend, Holder(till, card), None)
