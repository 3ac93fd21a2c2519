"""The rotating member code as its holder's page shows it (QRC-1, QRC-4)."""

import base64
from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.member_code import MemberCodes, ReservedCode
from app.core.qr_codes import qr_png, qr_svg
from app.models.cards import Card
from app.services import member_codes
from schema.card_status import CardNotFound, CardNotUsable
from schema.problems import Problem, shown_as

GROUP_DIGITS = 4


@strawberry.type(
    description="What a till scans: it changes every minute and works once. Draw the value as"
    " Code 128 for the barcode; svg and png are its QR code, drawn only when asked for."
)
class MemberCode:
    value: str = strawberry.field(description="18 digits.")
    formatted: str = strawberry.field(description="The digits in groups, for reading aloud.")
    valid_until: datetime = strawberry.field(description="When the next code takes over.")
    seconds_left: int = strawberry.field(description="Seconds until then, 60 to 1.")

    @classmethod
    def of(cls, card: Card, codes: MemberCodes, now: datetime) -> Self:
        step = codes.step_at(now)
        value = codes.code_for(card.serial, step)
        groups = (value[at : at + GROUP_DIGITS] for at in range(0, len(value), GROUP_DIGITS))
        return cls(
            value=value,
            formatted=" ".join(groups),
            valid_until=codes.valid_until(step),
            seconds_left=codes.seconds_left(now),
        )

    @strawberry.field(description="The QR code as an SVG document.")
    def svg(self) -> str:
        return qr_svg(self.value)

    @strawberry.field(description="The QR code as a PNG, in a data: URI.")
    def png(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(qr_png(self.value)).decode()}"


@strawberry.type(description="The code of one minute to come.")
class ReservedMemberCode:
    value: str = strawberry.field(description="18 digits.")
    valid_from: datetime = strawberry.field(description="When it begins to work.")
    valid_until: datetime = strawberry.field(description="When the next one takes over.")

    @classmethod
    def of(cls, reserved: ReservedCode) -> Self:
        return cls(
            value=reserved.code,
            valid_from=reserved.valid_from,
            valid_until=reserved.valid_until,
        )


@strawberry.type(
    description="The codes of the minutes to come, for a page that loses its network. Keep them on"
    " the device they were signed for."
)
class MemberCodeReserve:
    codes: list[ReservedMemberCode] = strawberry.field(description="A code for each minute.")
    signature: str = strawberry.field(
        description="A compact JWS over these codes, the card and the session, by a key of"
        " /auth/jwks.json: what a device finds stored it can tell to be ours and its own."
    )


@strawberry.type(
    description="The code is wrong, old or was used. Which of these is never said: ask for the"
    " current one."
)
class MemberCodeRefused(Problem): ...


MemberCodeResult = Annotated[
    MemberCode | CardNotUsable | CardNotFound,
    strawberry.union("MemberCodeResult", description="The code of this minute, or why none."),
]
MemberCodeReserveResult = Annotated[
    MemberCodeReserve | CardNotUsable | CardNotFound,
    strawberry.union("MemberCodeReserveResult", description="The codes, or why there are none."),
]

HANDLERS = [shown_as(MemberCodeRefused, member_codes.CodeRefused)]
