"""Six-digit codes that prove a phone or an e-mail address (IDN-7)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

import strawberry

from app.core import phones
from app.models import identities as rows
from app.models.identities import CodeChannel
from app.services import verification_codes
from schema.enums import describe
from schema.problems import Problem, shown_as


class CodePurpose(StrEnum):
    """Without CONSUME, for the till that asks for such a code sends it, and STUDENT_ID, which
    `studentEmailCodeSend` sends."""

    SIGN_IN = "SIGN_IN"
    BIND = "BIND"
    CARD_PIN = "CARD_PIN"

    @property
    def row(self) -> rows.CodePurpose:
        return rows.CodePurpose(self.value)


describe(
    CodeChannel,
    "How a code is sent.",
    {"SMS": "As a text message to a phone.", "EMAIL": "By e-mail."},
)
describe(
    CodePurpose,
    "What a code is good for, and nothing else.",
    {
        "SIGN_IN": "To sign in.",
        "BIND": "To add the phone or the address to one's account.",
        "CARD_PIN": "To set the PIN of a card.",
    },
)


@strawberry.type(
    description="A code is on its way, if the target exists. Whether it has an account is not said."
)
class VerificationCodeSent:
    expires_at: datetime = strawberry.field(description="Until when the code is accepted.")
    next_allowed_at: datetime = strawberry.field(description="When another can be asked for.")

    @classmethod
    def of(cls, sent: verification_codes.Sent) -> Self:
        return cls(expires_at=sent.expires_at, next_allowed_at=sent.next_allowed_at)


@strawberry.type(description="A code was sent a moment ago, or too many were today.")
class CodesTooOften(Problem):
    retry_at: datetime = strawberry.field(description="When the next one can be asked for.")

    @classmethod
    def of(cls, error: verification_codes.CodesTooOften) -> Self:
        return cls(message=str(error), retry_at=error.retry_at)


@strawberry.type(description="This is no phone number, or no e-mail address.")
class TargetInvalid(Problem): ...


@strawberry.input(description="Where to send a code, and what for.")
class VerificationCodeSendInput:
    channel: CodeChannel = strawberry.field(description="SMS or e-mail.")
    target: str = strawberry.field(
        description="The phone number, best with its country code (+86 …), or the e-mail address."
    )
    purpose: CodePurpose = strawberry.field(description="What the code shall be good for.")


Send = Annotated[VerificationCodeSendInput, strawberry.argument(description="Where and why.")]
VerificationCodeSendResult = Annotated[
    VerificationCodeSent | CodesTooOften | TargetInvalid,
    strawberry.union("VerificationCodeSendResult", description="That it was sent, or why not."),
]

HANDLERS = [
    shown_as(CodesTooOften, verification_codes.CodesTooOften),
    shown_as(TargetInvalid, phones.InvalidPhone, phones.InvalidEmail),
]
