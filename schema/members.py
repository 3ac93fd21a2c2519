"""Members: as they see themselves, and as those who work here see them (IDN-8, SEC-2)."""

from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

import strawberry

from app.core.errors import BadInput
from app.core.ids import type_id
from app.core.texts import checked_text
from app.models import members as rows
from app.models.members import AttributeKind, Gender, MemberStatus, birthday_date
from app.services import member_records, members, merges, privacy, sessions
from schema.context import AccessToken, Info
from schema.enums import describe
from schema.identities import (
    CodeRefused,
    Merge,
    MergeImpossible,
    MergeOffered,
    OwnIdentity,
    ProviderBusy,
    TicketRefused,
)
from schema.ledger import BalanceTooLarge
from schema.pages import PAGE_SIZE_DEFAULT, After, First
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import Long
from schema.sessions import Session, SignInAgain
from schema.timeline import Kinds, TimelineConnection
from schema.values import ValueAmount
from schema.verification_codes import TargetInvalid

NAME_CHARS_MAX = 120
REGION_CHARS_MAX = 120
ATTRIBUTE_NAME_CHARS_MAX = 64
PURPOSE_CHARS_MAX = 48
VERSION_CHARS_MAX = 32
REASON_CHARS_MAX = 200

describe(
    Gender,
    "A member's gender, as they say.",
    {"FEMALE": "Female.", "MALE": "Male.", "OTHER": "Neither, or not to be said."},
)
describe(
    AttributeKind,
    "What values a custom attribute has.",
    {"TEXT": "Text of up to 500 characters.", "NUMBER": "A whole number.", "DATE": "A day."},
)
describe(
    MemberStatus,
    "Whether a member's record is in use.",
    {
        "ACTIVE": "In use.",
        "MERGED": "Merged into another, to which its id leads.",
        "CLOSED": "Closed by the member, who is forgotten.",
    },
)


@strawberry.type(description="A custom attribute that members of the group can have.")
class AttributeDefinition:
    id: strawberry.ID = strawberry.field(description="Its id, `attr_…`.")
    key: str = strawberry.field(description="What programs call it.")
    name: str = strawberry.field(description="What people call it.")
    kind: AttributeKind = strawberry.field(description="What values it has.")

    @classmethod
    def of(cls, row: rows.AttributeDefinition) -> Self:
        return cls(
            id=strawberry.ID(type_id("attr", row.id)), key=row.key, name=row.name, kind=row.kind
        )


@strawberry.type(description="What a member has for one custom attribute.")
class MemberAttribute:
    key: str = strawberry.field(description="What programs call the attribute.")
    name: str = strawberry.field(description="What people call the attribute.")
    kind: AttributeKind = strawberry.field(description="What values it has.")
    value: str = strawberry.field(description="The text, the number's digits, or the ISO date.")


@strawberry.type(description="A decision a member took about one purpose.")
class Consent:
    id: strawberry.ID = strawberry.field(description="Its id, `cns_…`.")
    purpose: str = strawberry.field(description="What it is about, such as marketing_sms.")
    version: str = strawberry.field(description="The version of the text that was shown.")
    is_given: bool = strawberry.field(description="Yes or no.")
    decided_at: datetime = strawberry.field(description="When it was decided.")

    @classmethod
    def of(cls, row: rows.Consent) -> Self:
        return cls(
            id=strawberry.ID(type_id("cns", row.id)),
            purpose=row.purpose,
            version=row.version,
            is_given=row.is_given,
            decided_at=row.decided_at,
        )


@strawberry.type(name="Member", description="The signed-in member, as they see themselves.")
class OwnMember:
    id: strawberry.ID = strawberry.field(description="Their id, `mem_…`.")
    name: str | None = strawberry.field(description="Their name, if they told.")
    gender: Gender | None = strawberry.field(description="Their gender, if they told.")
    birthday: date | None = strawberry.field(description="Their birthday, if they told.")
    can_edit_birthday: bool = strawberry.field(
        description="Whether they may still set or change it: once."
    )
    region: str | None = strawberry.field(description="Where they live, if they told.")
    joined_at: datetime = strawberry.field(description="When they joined.")
    row: strawberry.Private[rows.Member]

    @classmethod
    def of(cls, row: rows.Member) -> Self:
        return cls(
            id=member_id_of(row.id),
            name=row.name,
            gender=row.gender,
            birthday=birthday_date(row.birthday),
            can_edit_birthday=row.birthday_edits == 0,
            region=row.region,
            joined_at=row.joined_at,
            row=row,
        )

    @strawberry.field(description="Their custom attributes, those that have a value.")
    async def attributes(self, info: Info) -> list[MemberAttribute]:
        return await attributes_of(self.row, info)

    @strawberry.field(description="What leads to them: phone, e-mail, WeChat …")
    async def identities(self, info: Info) -> list[OwnIdentity]:
        found = await info.context.loaders.identities.load(self.row.id)
        return [OwnIdentity.of(row) for row in found if row.is_proven]

    @strawberry.field(description="Their latest decision about each purpose.")
    async def consents(self, info: Info) -> list[Consent]:
        found = await info.context.loaders.consents.load(self.row.id)
        return [Consent.of(row) for row in found]

    @strawberry.field(description="What happened with them, newest first.")
    async def timeline(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        kinds: Kinds = None,
    ) -> TimelineConnection:
        return await TimelineConnection.load(info, self.row.id, kinds, first, after)

    @strawberry.field(description="Where they are signed in, the latest used first.")
    async def sessions(self, info: Info) -> list[Session]:
        found = await info.context.read(
            sessions.open_sessions, principal_id=self.row.id, now=info.context.now
        )
        return [Session.of(row) for row in found]


def member_id_of(member_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("mem", member_id))


async def attributes_of(row: rows.Member, info: Info) -> list[MemberAttribute]:
    """The values a member has, in the order the group defined the attributes."""
    if not row.attributes:
        return []
    defined = await info.context.loaders.attributes.load(row.group_id)
    return [
        MemberAttribute(key=d.key, name=d.name, kind=d.kind, value=str(row.attributes[d.key]))
        for d in defined
        if d.key in row.attributes
    ]


@strawberry.type(description="Somebody is signed in. Keep both tokens on the device.")
class SessionStarted:
    access_token: str = strawberry.field(description="Send it as `Authorization: Bearer …`.")
    access_token_expires_at: datetime = strawberry.field(description="Refresh before then.")
    refresh_token: str = strawberry.field(description="For sessionRefresh, once.")
    is_new: bool = strawberry.field(description="Whether this sign-in made the record.")
    member: OwnMember = strawberry.field(description="Who signed in.")
    merge_offer: MergeOffered | None = strawberry.field(
        description="Where the proofs belong to another record too: an offer to become one."
    )

    @classmethod
    def of(
        cls,
        access_token: AccessToken,
        refresh_token: str,
        *,
        member: rows.Member,
        is_new: bool,
        offer: merges.MergeOffer | None,
    ) -> Self:
        return cls(
            access_token=access_token.text,
            access_token_expires_at=access_token.expires_at,
            refresh_token=refresh_token,
            is_new=is_new,
            member=OwnMember.of(member),
            merge_offer=MergeOffered.of(offer) if offer else None,
        )


@strawberry.type(description="Two records are one now.")
class MembersMerged:
    merge: Merge = strawberry.field(description="The merge, which staff can undo.")
    survivor_id: strawberry.Private[UUID]

    @strawberry.field(description="The signed-in member afterwards.")
    async def member(self, info: Info) -> OwnMember:
        return OwnMember.of(await info.context.loaders.member.load(self.survivor_id))


@strawberry.type(description="The account is closed and its sessions have ended.")
class MemberClosed:
    id: strawberry.ID = strawberry.field(description="Whose it was, `mem_…`.")
    closed_at: datetime | None = strawberry.field(description="When it was closed.")


@strawberry.type(description="There is no such member in this group.")
class MemberNotFound(Problem): ...


@strawberry.type(description="The birthday was changed once already.")
class BirthdayFixed(Problem): ...


@strawberry.type(description="The group has no such attribute, or it has values of another kind.")
class UnknownAttribute(Problem):
    key: str = strawberry.field(description="The key that was given.")

    @classmethod
    def of(cls, error: members.UnknownAttribute) -> Self:
        return cls(message=str(error), key=error.key)


@strawberry.type(
    description="There is value on the member's cards that was not given up, or they owe some."
)
class BalanceLeft(Problem):
    balances: list[ValueAmount] = strawberry.field(
        description="What would be lost. A negative amount is owed: staff have to clear it first."
    )

    @classmethod
    def of(cls, error: privacy.BalanceLeft) -> Self:
        return cls(message=str(error), balances=[ValueAmount.of(b) for b in error.balances])


@strawberry.type(description="A bill holds value of a card and is not final yet.")
class BillOpen(Problem):
    until: datetime | None = strawberry.field(description="When it ends by itself, if ever.")

    @classmethod
    def of(cls, error: privacy.BillOpen) -> Self:
        return cls(message=str(error), until=error.until)


@strawberry.type(description="A top-up waits for its payment.")
class TopUpPending(Problem):
    until: datetime | None = strawberry.field(description="When it runs out by itself, if ever.")

    @classmethod
    def of(cls, error: privacy.TopUpPending) -> Self:
        return cls(message=str(error), until=error.until)


@strawberry.type(description="An order of something else than a top-up waits for its payment.")
class OrderPending(Problem):
    until: datetime | None = strawberry.field(description="When it runs out by itself, if ever.")

    @classmethod
    def of(cls, error: privacy.OrderPending) -> Self:
        return cls(message=str(error), until=error.until)


@strawberry.type(description="Something redeemed in the mall has not been handed over or sent.")
class RedemptionAwaited(Problem): ...


@strawberry.type(description="A group can have 48 custom attributes.")
class TooManyAttributes(Problem): ...


@strawberry.type(description="The attribute exists with another name or kind.")
class AttributeTaken(Problem):
    key: str = strawberry.field(description="The key that was given.")

    @classmethod
    def of(cls, error: member_records.AttributeDefined) -> Self:
        return cls(message=str(error), key=error.key)


_DEVICE = "What the device calls itself, shown in the list of sessions."


@strawberry.input(description="A mini-program's login.")
class SessionStartWithWechatInput:
    app_id: str = strawberry.field(description="The mini-program's app id.")
    js_code: str = strawberry.field(description="The `code` of wx.login; works once.")
    device: str = strawberry.field(default="", description=_DEVICE)


@strawberry.input(description="A phone number and the code that was sent to it for SIGN_IN.")
class SessionStartWithPhoneInput:
    phone: str = strawberry.field(description="The number the code was sent to.")
    code: str = strawberry.field(description="The six digits.")
    device: str = strawberry.field(default="", description=_DEVICE)


@strawberry.input(description="An e-mail address and the code that was sent to it for SIGN_IN.")
class SessionStartWithEmailInput:
    email: str = strawberry.field(description="The address the code was sent to.")
    code: str = strawberry.field(description="The six digits.")
    device: str = strawberry.field(default="", description=_DEVICE)


@strawberry.input(description="What a web sign-in gave to the page.")
class SessionStartWithTicketInput:
    ticket: str = strawberry.field(description="The `ticket` in the address's fragment.")
    verifier: str = strawberry.field(description="What the page's `challenge` was made from.")
    device: str = strawberry.field(default="", description=_DEVICE)


@strawberry.input(
    description="A value for a custom attribute: text, number or date as its kind asks. With none"
    " of them the value is removed."
)
class MemberAttributeInput:
    key: str = strawberry.field(description="Which attribute.")
    text: str | None = strawberry.field(default=None, description="For one of kind TEXT.")
    number: Long | None = strawberry.field(default=None, description="For one of kind NUMBER.")
    day: date | None = strawberry.field(
        name="date", default=None, description="For one of kind DATE."
    )

    def value(self) -> str | int | None:
        given: list[str | int] = [v for v in (self.text, self.number) if v is not None]
        if self.day is not None:
            given.append(self.day.isoformat())
        if len(given) > 1:
            raise BadInput("An attribute takes one of text, number and date.")
        return given[0] if given else None


@strawberry.input(description="What somebody tells of themselves.")
class ProfileInput:
    """What the member and staff fill in alike; neither schema has it by itself."""

    name: str | None = strawberry.field(default=None, description="1 to 120 characters.")
    gender: Gender | None = strawberry.field(default=None, description="As the member says.")
    birthday: date | None = strawberry.field(default=None, description="As the member says.")
    region: str | None = strawberry.field(default=None, description="1 to 120 characters.")
    attributes: list[MemberAttributeInput] | None = strawberry.field(
        default=None, description="The custom attributes to change; at most 48."
    )

    def change(self) -> members.ProfileChange:
        """The change, checked for what no service can mean; raises `BadInput`."""
        attributes: dict[str, Any] | None = None
        if self.attributes is not None:
            if len(self.attributes) > members.ATTRIBUTES_MAX:
                raise BadInput(f"attributes may have {members.ATTRIBUTES_MAX} entries.")
            attributes = {given.key: given.value() for given in self.attributes}
        return members.ProfileChange(
            name=_checked("name", self.name, NAME_CHARS_MAX),
            gender=self.gender,
            birthday=self.birthday,
            region=_checked("region", self.region, REGION_CHARS_MAX),
            attributes=attributes,
        )


@strawberry.input(description="What to change of one's own profile; what is null stays.")
class MemberUpdateInput(ProfileInput):
    birthday: date | None = strawberry.field(
        default=None, description="Can be set or changed once."
    )


def _checked(what: str, text: str | None, at_most: int) -> str | None:
    return None if text is None else checked_text(what, text, at_most=at_most)


@strawberry.input(description="A decision about one purpose.")
class ConsentDecideInput:
    purpose: str = strawberry.field(description="What it is about, such as marketing_sms.")
    version: str = strawberry.field(description="The version of the text that was shown.")
    is_given: bool = strawberry.field(description="Yes or no.")


@strawberry.input(description="To close one's own account, for good.")
class MemberCloseInput:
    request_key: str = strawberry.field(description="Makes a repeated request answer the same.")
    forfeit_balances: bool = strawberry.field(
        default=False, description="Give up what is on the cards; without it value refuses."
    )


StartWechat = Annotated[SessionStartWithWechatInput, strawberry.argument(description="The login.")]
StartPhone = Annotated[SessionStartWithPhoneInput, strawberry.argument(description="The proof.")]
StartEmail = Annotated[SessionStartWithEmailInput, strawberry.argument(description="The proof.")]
StartTicket = Annotated[SessionStartWithTicketInput, strawberry.argument(description="The ticket.")]
Update = Annotated[MemberUpdateInput, strawberry.argument(description="What to change.")]
Decide = Annotated[ConsentDecideInput, strawberry.argument(description="The decision.")]
Close = Annotated[MemberCloseInput, strawberry.argument(description="How to close.")]

SessionStartWithWechatResult = Annotated[
    SessionStarted | CodeRefused | ProviderBusy,
    strawberry.union("SessionStartWithWechatResult", description="The session, or a refusal."),
]
SessionStartWithCodeResult = Annotated[
    SessionStarted | CodeRefused | TargetInvalid,
    strawberry.union("SessionStartWithCodeResult", description="The session, or a refusal."),
]
SessionStartWithTicketResult = Annotated[
    SessionStarted | TicketRefused,
    strawberry.union("SessionStartWithTicketResult", description="The session, or a refusal."),
]
MemberMergeResult = Annotated[
    MembersMerged | TicketRefused | MergeImpossible | SignInAgain,
    strawberry.union("MemberMergeResult", description="The one record, or why there are two."),
]
MemberUpdateResult = Annotated[
    OwnMember | BirthdayFixed | UnknownAttribute | BalanceTooLarge,
    strawberry.union("MemberUpdateResult", description="The member now, or why nothing changed."),
]
MemberCloseResult = Annotated[
    MemberClosed
    | BalanceLeft
    | BillOpen
    | TopUpPending
    | OrderPending
    | RedemptionAwaited
    | RequestKeyReused
    | SignInAgain,
    strawberry.union("MemberCloseResult", description="That it is closed, or why not."),
]

HANDLERS = [
    shown_as(MemberNotFound, members.MemberNotFound),
    shown_as(BirthdayFixed, members.BirthdayFixed),
    shown_as(UnknownAttribute, members.UnknownAttribute),
    shown_as(TooManyAttributes, members.TooManyAttributes),
    shown_as(AttributeTaken, member_records.AttributeDefined),
    shown_as(BalanceLeft, privacy.BalanceLeft),
    shown_as(BillOpen, privacy.BillOpen),
    shown_as(TopUpPending, privacy.TopUpPending),
    shown_as(OrderPending, privacy.OrderPending),
    shown_as(RedemptionAwaited, privacy.RedemptionAwaited),
]
