"""Members as those who work here see, find, add and correct them (SEC-2, MEM-1, MEM-4, MEM-7)."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.crypto import masked_name
from app.core.ids import parse_type_id, type_id
from app.models import members as rows
from app.models.identities import IdentityKind
from app.models.members import AttributeKind, Gender, MemberStatus, birthday_date
from app.services import member_records
from app.services.cards import BalanceRange
from app.services.coupons.standing import CouponStatus
from app.services.member_records import Known, MemberFilter, MemberKind
from schema.cards import Card
from schema.context import Info
from schema.coupons.records import Coupon
from schema.enums import describe
from schema.identities import Contact, ContactIsTheirs, ContactTaken, Identity
from schema.loaders import CardsSeen, CouponsPage
from schema.members import (
    AttributeDefinition,
    AttributeTaken,
    Consent,
    MemberAttribute,
    MemberNotFound,
    ProfileInput,
    TooManyAttributes,
    UnknownAttribute,
    attributes_of,
    member_id_of,
)
from schema.organisation import Node, NodeNotFound
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.scalars import Long
from schema.schemes import CardMustBeBought, NotAtThisStore, SchemeHasNoTier, SchemeNotFound
from schema.tags import Tag, TagNotFound, TooManyTags
from schema.timeline import Kinds, TimelineConnection
from schema.values import AccountKind
from schema.verification_codes import TargetInvalid

describe(
    MemberKind,
    "Whether somebody holds a card.",
    {"CUSTOMER": "Known, without a card.", "MEMBER": "With a card that is in their hands."},
)


@strawberry.type(description="A member of the group. What tells who they are is masked.")
class Member:
    id: strawberry.ID = strawberry.field(description="Their id, `mem_…`.")
    status: MemberStatus = strawberry.field(description="Whether the record is in use.")
    name: str | None = strawberry.field(description="Their name, masked: 王**.")
    gender: Gender | None = strawberry.field(description="Their gender, if they told.")
    birthday: str | None = strawberry.field(
        description="Month and day, the year hidden: ****-05-20."
    )
    region: str | None = strawberry.field(description="Where they live, if they told.")
    joined_at: datetime = strawberry.field(description="When they joined.")
    closed_at: datetime | None = strawberry.field(description="When they closed their account.")
    row: strawberry.Private[rows.Member]

    @classmethod
    def of(cls, row: rows.Member) -> Self:
        return cls(
            id=member_id_of(row.id),
            status=row.status,
            name=masked_name(row.name) if row.name else None,
            gender=row.gender,
            birthday=f"****{row.birthday[4:]}" if row.birthday else None,
            region=row.region,
            joined_at=row.joined_at,
            closed_at=row.closed_at,
            row=row,
        )

    @strawberry.field(description="Their custom attributes, those that have a value.")
    async def attributes(self, info: Info) -> list[MemberAttribute]:
        return await attributes_of(self.row, info)

    @strawberry.field(
        description="Whether they earned more points in a day than is believable, and nobody has"
        " cleared that yet."
    )
    async def is_abnormal(self, info: Info) -> bool:
        return await info.context.loaders.is_abnormal.load(self.row.id)

    @strawberry.field(description="What leads to them, masked.")
    async def identities(self, info: Info) -> list[Identity]:
        found = await info.context.loaders.identities.load(self.row.id)
        return [Identity.of(row) for row in found if row.is_proven]

    @strawberry.field(
        description="How to reach them as staff wrote it down and nobody proved yet, masked."
    )
    async def contacts(self, info: Info) -> list[Contact]:
        found = await info.context.loaders.identities.load(self.row.id)
        return [Contact.of(row) for row in found if not row.is_proven]

    @strawberry.field(description="The words that staff put on them, by name.")
    async def tags(self, info: Info) -> list[Tag]:
        return [Tag.of(row) for row in await info.context.loaders.tags.load(self.row.id)]

    @strawberry.field(
        description="Their cards, oldest first: those of schemes made where the asker holds"
        " `cards:read`, above or below."
    )
    async def cards(self, info: Info) -> list[Card]:
        seen = CardsSeen(await info.context.actor(), self.row.id)
        found = await info.context.loaders.cards_seen.load(seen)
        return [Card.of(row, info.context.now) for row in found]

    @strawberry.field(
        description="The store that recruited them; null until they consume at one, or get a card"
        " there."
    )
    async def recruitment_store(self, info: Info) -> Node | None:
        if self.row.recruitment_store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.recruitment_store_id))

    @strawberry.field(
        description="What happened with them, newest first: at stores where the asker holds"
        " `purchases:read`; at no store, with `cards:read` where the card's scheme was made or"
        " above."
    )
    async def timeline(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        kinds: Kinds = None,
    ) -> TimelineConnection:
        actor = await info.context.actor()
        return await TimelineConnection.load(info, self.row.id, kinds, first, after, actor)

    @strawberry.field(
        description="Their coupons of templates made where the asker holds `coupons:read`, above"
        " or below; the newest first."
    )
    async def coupons(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        status: Annotated[
            CouponStatus | None,
            strawberry.argument(description="Those that stand so now; null is all."),
        ] = None,
    ) -> Connection[Coupon]:
        now, actor = info.context.now, await info.context.actor()
        page = CouponsPage(actor, self.row.id, status, row_after(after), page_limit(first), now)
        rows = await info.context.loaders.coupons_seen.load(page)
        return Connection[Coupon].of(rows, first, lambda row: Coupon.of(row, now))

    @strawberry.field(description="Their latest decision about each purpose.")
    async def consents(self, info: Info) -> list[Consent]:
        found = await info.context.loaders.consents.load(self.row.id)
        return [Consent.of(row) for row in found]


@strawberry.type(description="One identity, whole.")
class UnmaskedIdentity:
    id: strawberry.ID = strawberry.field(description="Its id, `idn_…`.")
    kind: IdentityKind = strawberry.field(description="What kind of proof it is.")
    value: str = strawberry.field(description="The whole value.")
    is_proven: bool = strawberry.field(
        description="Whether they proved it; if not, staff wrote it down."
    )


@strawberry.type(description="What is behind a member's mask. That it was looked at is recorded.")
class MemberUnmasked:
    id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    name: str | None = strawberry.field(description="Their whole name.")
    birthday: date | None = strawberry.field(description="Their whole birthday.")
    identities: list[UnmaskedIdentity] = strawberry.field(description="What leads to them.")

    @classmethod
    def of(cls, unmasked: member_records.Unmasked) -> Self:
        return cls(
            id=member_id_of(unmasked.member.id),
            name=unmasked.member.name,
            birthday=birthday_date(unmasked.member.birthday),
            identities=[
                UnmaskedIdentity(
                    id=strawberry.ID(type_id("idn", row.id)),
                    kind=row.kind,
                    value=row.value,
                    is_proven=row.is_proven,
                )
                for row in unmasked.identities
            ],
        )


@strawberry.input(one_of=True, description="Whom to look for, by exactly one of these.")
class MemberFindInput:
    phone: str | None = strawberry.field(default=strawberry.UNSET, description="The whole number.")
    email: str | None = strawberry.field(default=strawberry.UNSET, description="The whole address.")
    card_number: str | None = strawberry.field(
        default=strawberry.UNSET, description="The number printed on a card."
    )


@strawberry.input(description="Something that leads to a member.")
class IdentityFilterInput:
    kind: IdentityKind = strawberry.field(description="What kind of proof it is.")
    value: str = strawberry.field(description="The whole value.")
    issuer: str = strawberry.field(
        default="",
        description="The app id of an OpenID, the issuer of an OIDC subject; otherwise empty.",
    )


@strawberry.input(description="How much of one kind of value a card holds, both ends included.")
class BalanceFilterInput:
    kind: AccountKind = strawberry.field(description="Which kind of value.")
    at_least: Long | None = strawberry.field(
        default=None, description="In minor units or points; null is 0."
    )
    at_most: Long | None = strawberry.field(
        default=None, description="In minor units or points; null is without end."
    )

    def range(self) -> BalanceRange:
        return BalanceRange.of(self.kind, self.at_least, self.at_most)


@strawberry.input(
    name="MemberFilter",
    description="Whom to show: those for whom all of it holds. Conditions on a card hold for one"
    " and the same card, which was neither merged into another nor paid out.",
)
class MemberFilterInput:
    phone: str | None = strawberry.field(default=None, description="The whole number.")
    email: str | None = strawberry.field(default=None, description="The whole address.")
    card_number: str | None = strawberry.field(
        default=None, description="The number printed on a card."
    )
    name: str | None = strawberry.field(
        default=None,
        description="The whole name; width, case and blanks make no difference.",
    )
    identity: IdentityFilterInput | None = strawberry.field(
        default=None, description="Anything else that leads to them."
    )
    kind: MemberKind | None = strawberry.field(default=None, description="With or without a card.")
    scheme_id: strawberry.ID | None = strawberry.field(
        default=None, description="With a card of this scheme, `sch_…`."
    )
    tier_id: strawberry.ID | None = strawberry.field(
        default=None, description="With a card of this tier, `tier_…`."
    )
    tag_id: strawberry.ID | None = strawberry.field(
        default=None, description="With this tag, `tag_…`."
    )
    recruitment_store_id: strawberry.ID | None = strawberry.field(
        default=None, description="Recruited by this store, `node_…`."
    )
    issuing_store_id: strawberry.ID | None = strawberry.field(
        default=None, description="With a card that this store issued, `node_…`."
    )
    status: MemberStatus | None = strawberry.field(
        default=None, description="Of this status; null leaves merged records out."
    )
    balance: BalanceFilterInput | None = strawberry.field(
        default=None, description="With a card that holds so much."
    )
    joined_from: datetime | None = strawberry.field(
        default=None, description="Joined at this moment or later."
    )
    joined_to: datetime | None = strawberry.field(
        default=None, description="Joined before this moment."
    )

    def wanted(self) -> MemberFilter:
        """The filter, its ids read; raises `BadInput`."""
        identity = self.identity
        return MemberFilter(
            phone=self.phone,
            email=self.email,
            card_number=self.card_number,
            name=self.name,
            identity=Known(identity.kind, identity.value, identity.issuer) if identity else None,
            kind=self.kind,
            scheme_id=row_id("sch", self.scheme_id),
            tier_id=row_id("tier", self.tier_id),
            tag_id=row_id("tag", self.tag_id),
            recruitment_store_id=row_id("node", self.recruitment_store_id),
            issuing_store_id=row_id("node", self.issuing_store_id),
            status=self.status,
            balance=self.balance.range() if self.balance else None,
            joined_from=self.joined_from,
            joined_to=self.joined_to,
        )


@strawberry.input(description="Whose mask to lift, and why.")
class MemberUnmaskInput:
    member_id: strawberry.ID = strawberry.field(description="Whose, `mem_…`.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")


@strawberry.input(description="A custom attribute to define.")
class MemberAttributeDefineInput:
    key: str = strawberry.field(description="a–z, 0–9 and _, at most 48, beginning with a letter.")
    name: str = strawberry.field(description="What people call it, 1 to 64 characters.")
    kind: AttributeKind = strawberry.field(description="What values it has.")


@strawberry.input(description="Somebody without a card to write down: a name or a phone is needed.")
class CustomerCreateInput(ProfileInput):
    phone: str | None = strawberry.field(
        default=None, description="Their number, best with its country code (+86 …)."
    )
    email: str | None = strawberry.field(default=None, description="Their e-mail address.")
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="The store that recruits them, `node_…`."
    )


@strawberry.input(
    name="MemberCreateInput", description="Somebody to write down and to give a card."
)
class MemberCreateInput(ProfileInput):
    phone: str = strawberry.field(
        description="Their number, best with its country code (+86 …). Nobody signs in by it"
        " before they proved it."
    )
    scheme_id: strawberry.ID = strawberry.field(description="The card's scheme, `sch_…`.")
    email: str | None = strawberry.field(default=None, description="Their e-mail address.")
    store_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The store that issues the card and recruits them, `node_…`. Without it"
        " `cards:issue` is needed where the scheme was made.",
    )


@strawberry.input(
    name="MemberUpdateInput", description="What to correct of a member; what is null stays."
)
class MemberCorrectInput(ProfileInput):
    member_id: strawberry.ID = strawberry.field(description="Whose, `mem_…`.")
    birthday: date | None = strawberry.field(
        default=None, description="As often as it takes, whatever the member may do."
    )
    phone: str | None = strawberry.field(
        default=None, description="Of a record that nobody signs in to."
    )
    email: str | None = strawberry.field(
        default=None, description="Of a record that nobody signs in to."
    )


def row_id(prefix: str, id: strawberry.ID | None) -> UUID | None:  # noqa: A002  # the schema's word
    return None if id is None else parse_type_id(prefix, id)


Filter = Annotated[
    MemberFilterInput | None,
    strawberry.argument(
        description="Whom to show. Where few fit, a page may hold fewer than `first`, or none,"
        " though more follow: while `hasNextPage` says so, go on from `endCursor`."
    ),
]
Find = Annotated[MemberFindInput, strawberry.argument(description="Whom to look for.")]
Unmask = Annotated[MemberUnmaskInput, strawberry.argument(description="Whose, and why.")]
Define = Annotated[MemberAttributeDefineInput, strawberry.argument(description="The attribute.")]
CreateCustomer = Annotated[CustomerCreateInput, strawberry.argument(description="Who it is.")]
CreateMember = Annotated[MemberCreateInput, strawberry.argument(description="Who it is.")]
Correct = Annotated[MemberCorrectInput, strawberry.argument(description="Whose, and what.")]

MemberUnmaskResult = Annotated[
    MemberUnmasked | MemberNotFound,
    strawberry.union("MemberUnmaskResult", description="What is behind the mask, or a refusal."),
]
MemberAttributeDefineResult = Annotated[
    AttributeDefinition | TooManyAttributes | AttributeTaken,
    strawberry.union("MemberAttributeDefineResult", description="The attribute, or a refusal."),
]
CustomerCreateResult = Annotated[
    Member | ContactTaken | TargetInvalid | NodeNotFound | UnknownAttribute,
    strawberry.union("CustomerCreateResult", description="The record, or why there is none."),
]
MemberCreateResult = Annotated[
    Member
    | ContactTaken
    | TargetInvalid
    | NodeNotFound
    | SchemeNotFound
    | SchemeHasNoTier
    | NotAtThisStore
    | CardMustBeBought
    | UnknownAttribute,
    strawberry.union("MemberCreateResult", description="The record, or why there is none."),
]
MemberCorrectResult = Annotated[
    Member | MemberNotFound | ContactTaken | ContactIsTheirs | TargetInvalid | UnknownAttribute,
    strawberry.union("MemberUpdateResult", description="The member now, or why nothing changed."),
]
MemberTagResult = Annotated[
    Member | MemberNotFound | TagNotFound | TooManyTags,
    strawberry.union("MemberTagResult", description="The member now, or why nothing changed."),
]
MemberUntagResult = Annotated[
    Member | MemberNotFound | TagNotFound,
    strawberry.union("MemberUntagResult", description="The member now, or why nothing changed."),
]
