"""What a holder proves before a card pays (CRD-8)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.services import consumption
from schema.card_status import CardNotFound, CardNotUsable
from schema.cards import OwnCard
from schema.identities import CodeRefused
from schema.organisation import TerminalNotFound
from schema.problems import Problem, shown_as
from schema.schemes import NotAtThisStore
from schema.verification_codes import CodesTooOften, TargetInvalid, VerificationCodeSent


@strawberry.type(description="The holder proved who they are. A spending uses this up.")
class ConsumptionVerified:
    verification: str = strawberry.field(
        description="For one spending on this card at this terminal's store."
    )
    expires_at: datetime = strawberry.field(description="Until when it is accepted.")

    @classmethod
    def of(cls, verified: consumption.Verification) -> Self:
        return cls(verification=verified.secret, expires_at=verified.expires_at)


@strawberry.type(description="The PIN is wrong, or none was set.")
class PinWrong(Problem):
    tries_left: int = strawberry.field(description="How many wrong ones lock it.")

    @classmethod
    def of(cls, error: consumption.PinWrong) -> Self:
        return cls(message=str(error), tries_left=error.tries_left)


@strawberry.type(description="Five PINs were wrong: the holder has to set a new one.")
class PinLocked(Problem): ...


@strawberry.type(description="Not six digits, or six that everybody tries first.")
class PinTooSimple(Problem): ...


@strawberry.type(description="The holder has no proven phone to send a code to.")
class NoPhone(Problem): ...


@strawberry.input(description="A PIN to set, proven by a code that was sent for CARD_PIN.")
class CardSetPinInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    phone: str = strawberry.field(description="The member's own number the code was sent to.")
    code: str = strawberry.field(description="The six digits that arrived.")
    pin: str = strawberry.field(description="Six digits, neither all equal nor a sequence.")


@strawberry.input(description="A PIN typed at a till.")
class CardVerifyPinInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    pin: str = strawberry.field(description="What the holder typed.")


@strawberry.input(description="A card whose holder shall be sent a code.")
class CardVerificationCodeSendInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")


@strawberry.input(description="The code the holder was sent.")
class CardVerifyCodeInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    code: str = strawberry.field(description="The six digits the holder says.")


CardSetPinResult = Annotated[
    OwnCard | CardNotFound | PinTooSimple | CodeRefused | TargetInvalid,
    strawberry.union("CardSetPinResult", description="The card, or why its PIN stays."),
]
CardVerifyPinResult = Annotated[
    ConsumptionVerified
    | PinWrong
    | PinLocked
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | TerminalNotFound,
    strawberry.union("CardVerifyPinResult", description="The proof, or why there is none."),
]
CardVerificationCodeSendResult = Annotated[
    VerificationCodeSent
    | CodesTooOften
    | NoPhone
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | TerminalNotFound,
    strawberry.union("CardVerificationCodeSendResult", description="That it was sent, or why not."),
]
CardVerifyCodeResult = Annotated[
    ConsumptionVerified
    | CodeRefused
    | NoPhone
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | TerminalNotFound,
    strawberry.union("CardVerifyCodeResult", description="The proof, or why there is none."),
]

HANDLERS = [
    shown_as(PinWrong, consumption.PinWrong),
    shown_as(PinLocked, consumption.PinLocked),
    shown_as(PinTooSimple, consumption.PinTooSimple),
    shown_as(NoPhone, consumption.NoPhone),
]
