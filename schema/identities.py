"""What proves who somebody is, and two records of one person becoming one (OneID)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.models import identities as rows
from app.models.identities import IdentityKind
from app.services import identities, merges, sign_in, tickets, verification_codes
from app.services.merges.offering import masked
from schema.enums import describe
from schema.problems import Problem, shown_as
from schema.scalars import Long
from schema.sessions import SignInAgain
from schema.values import ValueAmount
from schema.verification_codes import TargetInvalid

describe(
    IdentityKind,
    "What kind of proof leads to a member.",
    {
        "PHONE": "A phone number, proven by a code.",
        "EMAIL": "An e-mail address, proven by a code or by a trusted provider.",
        "WECHAT_OPENID": "An account at one of the group's WeChat apps.",
        "WECHAT_UNIONID": "A WeChat account across the group's apps.",
        "OIDC": "An account at an OpenID Connect provider.",
        "EXTERNAL": "An id in another system of the group.",
    },
)


@strawberry.type(name="Identity", description="Something proven that leads to this member.")
class OwnIdentity:
    id: strawberry.ID = strawberry.field(description="Its id, `idn_…`.")
    kind: IdentityKind = strawberry.field(description="What kind of proof it is.")
    issuer: str = strawberry.field(
        description="The app id of an OpenID, the issuer of an OIDC subject; otherwise empty."
    )
    value: str = strawberry.field(description="The whole value, for its owner alone.")
    masked: str = strawberry.field(description="The value as others may see it: 138****1234.")
    proven_at: datetime = strawberry.field(description="When it was proven.")

    @classmethod
    def of(cls, row: rows.Identity) -> Self:
        return cls(
            id=strawberry.ID(type_id("idn", row.id)),
            kind=row.kind,
            issuer=row.issuer,
            value=row.value,
            masked=masked(row),
            proven_at=row.proven_at,
        )


@strawberry.type(description="Something proven that leads to a member, masked.")
class Identity:
    id: strawberry.ID = strawberry.field(description="Its id, `idn_…`.")
    kind: IdentityKind = strawberry.field(description="What kind of proof it is.")
    issuer: str = strawberry.field(
        description="The app id of an OpenID, the issuer of an OIDC subject; otherwise empty."
    )
    masked: str = strawberry.field(description="The value with its middle hidden: 138****1234.")
    proven_at: datetime = strawberry.field(description="When it was proven.")

    @classmethod
    def of(cls, row: rows.Identity) -> Self:
        return cls(
            id=strawberry.ID(type_id("idn", row.id)),
            kind=row.kind,
            issuer=row.issuer,
            masked=masked(row),
            proven_at=row.proven_at,
        )


@strawberry.type(
    description="A phone number or an e-mail address that staff wrote down and nobody proved. It"
    " finds the member and signs nobody in."
)
class Contact:
    id: strawberry.ID = strawberry.field(description="Its id, `idn_…`.")
    kind: IdentityKind = strawberry.field(description="PHONE or EMAIL.")
    masked: str = strawberry.field(description="The value with its middle hidden: 138****1234.")
    written_at: datetime = strawberry.field(description="When it was written down.")

    @classmethod
    def of(cls, row: rows.Identity) -> Self:
        return cls(
            id=strawberry.ID(type_id("idn", row.id)),
            kind=row.kind,
            masked=masked(row),
            written_at=row.proven_at,
        )


@strawberry.type(description="A card as a merge would leave it.")
class CardInMerge:
    scheme_name: str = strawberry.field(description="The card's scheme.")
    number: str = strawberry.field(description="The number that stays.")
    other_number: str | None = strawberry.field(
        description="The number of the other card of this scheme that would go into it, if any."
    )
    tier_name: str = strawberry.field(description="The higher tier of the two.")
    balances: list[ValueAmount] = strawberry.field(description="What it would hold.")

    @classmethod
    def of(cls, card: merges.CardInMerge) -> Self:
        return cls(
            scheme_name=card.scheme_name,
            number=card.number,
            other_number=card.other_number,
            tier_name=card.tier_name,
            balances=[
                ValueAmount(kind=kind, unit=unit, amount=Long(amount))
                for kind, unit, amount in card.balances
            ],
        )


@strawberry.type(description="What a merge would do.")
class MergePreview:
    cards: list[CardInMerge] = strawberry.field(description="The member's cards afterwards.")
    identities: list[str] = strawberry.field(
        description="What would lead to the member besides, masked."
    )


@strawberry.type(
    description="What was proven belongs to another record: both are one person, so they can"
    " become one. Confirm with memberMerge."
)
class MergeOffered:
    ticket: str = strawberry.field(description="For memberMerge, once.")
    expires_at: datetime = strawberry.field(description="Until when the ticket is accepted.")
    preview: MergePreview = strawberry.field(description="What confirming would do.")

    @classmethod
    def of(cls, offer: merges.MergeOffer) -> Self:
        return cls(
            ticket=offer.ticket,
            expires_at=offer.expires_at,
            preview=MergePreview(
                cards=[CardInMerge.of(card) for card in offer.preview.cards],
                identities=offer.preview.identities,
            ),
        )


@strawberry.type(description="Two records that became one.")
class Merge:
    id: strawberry.ID = strawberry.field(description="Its id, `mrg_…`.")
    survivor_id: strawberry.ID = strawberry.field(description="The member who stayed, `mem_…`.")
    loser_id: strawberry.ID = strawberry.field(description="The record that went, `mem_…`.")
    merged_at: datetime = strawberry.field(description="When they were merged.")
    undone_at: datetime | None = strawberry.field(description="When staff parted them, if so.")

    @classmethod
    def of(cls, row: rows.Merge) -> Self:
        return cls(
            id=strawberry.ID(type_id("mrg", row.id)),
            survivor_id=strawberry.ID(type_id("mem", row.survivor_id)),
            loser_id=strawberry.ID(type_id("mem", row.loser_id)),
            merged_at=row.merged_at,
            undone_at=row.undone_at,
        )


@strawberry.type(description="The identity leads to the member now.")
class IdentityBound:
    identity: OwnIdentity = strawberry.field(
        description="What was bound; of several proven at once the strongest."
    )


@strawberry.type(description="The identity does not lead to the member any more.")
class IdentityUnbound:
    id: strawberry.ID = strawberry.field(description="What it was, `idn_…`.")


@strawberry.type(description="A merge was undone.")
class MergeUndone:
    merge: Merge = strawberry.field(description="The merge.")
    not_returned: list[ValueAmount] = strawberry.field(
        description="What the parted record brought and does not get back: it was spent since."
    )

    @classmethod
    def of(cls, undone: merges.Undone) -> Self:
        return cls(
            merge=Merge.of(undone.merge),
            not_returned=[ValueAmount.of(each) for each in undone.not_returned],
        )


@strawberry.type(
    description="The code is wrong, used, expired, was tried too often or never sent. Which of"
    " these is never said."
)
class CodeRefused(Problem): ...


@strawberry.type(description="The sign-in service does not answer now. Try again in a moment.")
class ProviderBusy(Problem): ...


@strawberry.type(
    description="The ticket is unknown, used, expired or another page's, or what it rests on is not"
    " so any more."
)
class TicketRefused(Problem): ...


@strawberry.type(description="The member has no such identity.")
class IdentityNotFound(Problem): ...


@strawberry.type(description="Without it nobody could sign in to this account again.")
class LastIdentity(Problem): ...


@strawberry.type(description="Somebody is known by this phone or e-mail address already.")
class ContactTaken(Problem):
    member_id: strawberry.ID = strawberry.field(description="Who, `mem_…`.")

    @classmethod
    def of(cls, error: identities.ContactTaken) -> Self:
        member_id = strawberry.ID(type_id("mem", error.member_id))
        return cls(message=str(error), member_id=member_id)


@strawberry.type(
    description="Somebody signs in to this record, and changes how by a proof of their own."
)
class ContactIsTheirs(Problem): ...


@strawberry.type(description="The two records cannot become one as they are.")
class MergeImpossible(Problem):
    reason: str = strawberry.field(description="Why, in half a sentence.")

    @classmethod
    def of(cls, error: merges.MergeImpossible) -> Self:
        return cls(message=str(error), reason=error.reason)


@strawberry.type(description="There is no such merge in this group.")
class MergeNotFound(Problem): ...


@strawberry.type(
    description="The merge was undone before, one side was merged or closed since, or the card that"
    " stayed is lost, frozen or expired."
)
class MergeNotUndoable(Problem):
    reason: str = strawberry.field(description="Why, in half a sentence.")

    @classmethod
    def of(cls, error: merges.MergeNotUndoable) -> Self:
        return cls(message=str(error), reason=error.reason)


@strawberry.input(description="A phone number and the code that was sent to it for BIND.")
class IdentityBindPhoneInput:
    phone: str = strawberry.field(description="The number the code was sent to.")
    code: str = strawberry.field(description="The six digits.")


@strawberry.input(description="What WeChat's phone-number button gave to the mini-program.")
class IdentityBindWechatPhoneInput:
    app_id: str = strawberry.field(description="The mini-program's app id.")
    phone_code: str = strawberry.field(description="The `code` of getPhoneNumber; works once.")


@strawberry.input(description="An e-mail address and the code that was sent to it for BIND.")
class IdentityBindEmailInput:
    email: str = strawberry.field(description="The address the code was sent to.")
    code: str = strawberry.field(description="The six digits.")


@strawberry.input(description="What wx.login gave to the mini-program.")
class IdentityBindWechatInput:
    app_id: str = strawberry.field(description="The mini-program's app id.")
    js_code: str = strawberry.field(description="The `code` of wx.login; works once.")


@strawberry.input(description="What a web sign-in gave to the page.")
class IdentityBindTicketInput:
    ticket: str = strawberry.field(description="The `ticket` in the address's fragment.")
    verifier: str = strawberry.field(description="What the page's `challenge` was made from.")


@strawberry.input(description="An identity to remove.")
class IdentityUnbindInput:
    identity_id: strawberry.ID = strawberry.field(description="Which, `idn_…`.")


@strawberry.input(description="A merge to confirm.")
class MemberMergeInput:
    ticket: str = strawberry.field(description="The ticket of the offer; works once.")


@strawberry.input(description="A merge to undo.")
class MergeUndoInput:
    merge_id: strawberry.ID = strawberry.field(description="Which, `mrg_…`.")


BindPhone = Annotated[IdentityBindPhoneInput, strawberry.argument(description="Number and code.")]
BindWechatPhone = Annotated[
    IdentityBindWechatPhoneInput, strawberry.argument(description="WeChat's phone code.")
]
BindEmail = Annotated[IdentityBindEmailInput, strawberry.argument(description="Address and code.")]
BindWechat = Annotated[
    IdentityBindWechatInput, strawberry.argument(description="WeChat's login code.")
]
BindTicket = Annotated[IdentityBindTicketInput, strawberry.argument(description="The ticket.")]
Unbind = Annotated[IdentityUnbindInput, strawberry.argument(description="Which identity.")]
Confirm = Annotated[MemberMergeInput, strawberry.argument(description="The offer's ticket.")]
Undo = Annotated[MergeUndoInput, strawberry.argument(description="Which merge.")]

IdentityBindCodeResult = Annotated[
    IdentityBound | MergeOffered | CodeRefused | TargetInvalid | SignInAgain,
    strawberry.union("IdentityBindCodeResult", description="The identity, an offer or a refusal."),
]
IdentityBindWechatResult = Annotated[
    IdentityBound | MergeOffered | CodeRefused | ProviderBusy | SignInAgain,
    strawberry.union(
        "IdentityBindWechatResult", description="The identity, an offer or a refusal."
    ),
]
IdentityBindTicketResult = Annotated[
    IdentityBound | MergeOffered | TicketRefused | SignInAgain,
    strawberry.union(
        "IdentityBindTicketResult", description="The identity, an offer or a refusal."
    ),
]
IdentityUnbindResult = Annotated[
    IdentityUnbound | IdentityNotFound | LastIdentity | SignInAgain,
    strawberry.union("IdentityUnbindResult", description="What was removed, or why nothing was."),
]
MergeUndoResult = Annotated[
    MergeUndone | MergeNotFound | MergeNotUndoable,
    strawberry.union("MergeUndoResult", description="What came back, or why nothing did."),
]

HANDLERS = [
    shown_as(CodeRefused, verification_codes.CodeWrong, sign_in.ProofRefused),
    shown_as(ProviderBusy, sign_in.ProviderBusy),
    shown_as(TicketRefused, tickets.TicketRefused),
    shown_as(IdentityNotFound, identities.IdentityNotFound),
    shown_as(LastIdentity, identities.LastIdentity),
    shown_as(ContactTaken, identities.ContactTaken),
    shown_as(ContactIsTheirs, identities.ContactIsTheirs),
    shown_as(MergeImpossible, merges.MergeImpossible),
    shown_as(MergeNotFound, merges.MergeNotFound),
    shown_as(MergeNotUndoable, merges.MergeNotUndoable),
]
