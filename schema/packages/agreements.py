"""Purchase agreements, terms and FAQs, as members read them and staff publish them (BEN-9)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import packages as rows
from app.models.packages import AgreementKind
from app.services.packages import agreements
from schema.context import Info
from schema.enums import describe
from schema.organisation import Node, NodeNotFound
from schema.problems import EditedMeanwhile, Problem, shown_as

describe(
    AgreementKind,
    "What a document is for.",
    {
        "PURCHASE": "What a buyer agrees to; to be accepted when buying.",
        "TERMS": "How what was bought is used; to be accepted when buying.",
        "FAQ": "Questions and answers, to be read.",
    },
)
_TITLE = f"What people call it, 1 to {agreements.TITLE_CHARS_MAX} characters."
_BODY = f"What it says, 1 to {agreements.BODY_CHARS_MAX:,} characters."


def agreement_id_of(agreement_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("agr", agreement_id))


@strawberry.type(description="What an agreement says in one of its versions, which never change.")
class AgreementText:
    agreement_id: strawberry.ID = strawberry.field(description="The agreement, `agr_…`.")
    version: int = strawberry.field(description="Which version; 1 is the first.")
    title: str = strawberry.field(description="What people call it.")
    body: str = strawberry.field(description="What it says.")
    published_at: datetime = strawberry.field(description="Since when.")

    @classmethod
    def of(cls, row: rows.AgreementVersion) -> Self:
        return cls(
            agreement_id=agreement_id_of(row.agreement_id),
            version=row.version,
            title=row.title,
            body=row.body,
            published_at=row.published_at,
        )


@strawberry.type(description="A version of an agreement that a member accepted by buying.")
class AgreementAcceptance:
    agreement_id: strawberry.ID = strawberry.field(description="The agreement, `agr_…`.")
    kind: AgreementKind = strawberry.field(description="What it is for.")
    version: int = strawberry.field(description="Which version.")
    title: str = strawberry.field(description="What it was called.")
    body: str = strawberry.field(description="What it said.")
    accepted_at: datetime = strawberry.field(description="When the member accepted it.")

    @classmethod
    def of(cls, found: agreements.Acceptance) -> Self:
        return cls(
            agreement_id=agreement_id_of(found.agreement_id),
            kind=found.kind,
            version=found.version,
            title=found.title,
            body=found.body,
            accepted_at=found.accepted_at,
        )


@strawberry.type(description="A document that packages refer to, in versions.")
class Agreement:
    id: strawberry.ID = strawberry.field(description="Its id, `agr_…`.")
    kind: AgreementKind = strawberry.field(description="What it is for.")
    title: str = strawberry.field(description="What people call it.")
    version: int = strawberry.field(description="The version that is current.")
    created_at: datetime = strawberry.field(description="When it was first published.")
    changed_at: datetime = strawberry.field(description="When the current version was.")
    row: strawberry.Private[rows.Agreement]

    @classmethod
    def of(cls, row: rows.Agreement) -> Self:
        return cls(
            id=agreement_id_of(row.id),
            kind=row.kind,
            title=row.title,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="What it says now.")
    async def text(self, info: Info) -> AgreementText:
        return AgreementText.of(await info.context.loaders.agreement_text.load(self.row.id))

    @strawberry.field(description="The node it was made under; packages below it can use it.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))


@strawberry.input(description="An agreement to publish.")
class AgreementCreateInput:
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )
    kind: AgreementKind = strawberry.field(description="What it is for, for good.")
    title: str = strawberry.field(description=_TITLE)
    body: str = strawberry.field(description=_BODY)


@strawberry.input(description="The next version of an agreement; those before stay readable.")
class AgreementReviseInput:
    id: strawberry.ID = strawberry.field(description="The agreement, `agr_…`.")
    expected_version: int = strawberry.field(description="The `version` the edit began with.")
    title: str = strawberry.field(description=_TITLE)
    body: str = strawberry.field(description=_BODY)


@strawberry.input(description="A version of an agreement that the member accepts.")
class AgreementAcceptedInput:
    agreement_id: strawberry.ID = strawberry.field(description="The agreement, `agr_…`.")
    version: int = strawberry.field(description="The version that was read and accepted.")

    def accepted(self) -> agreements.Accepted:
        return agreements.Accepted(parse_type_id("agr", self.agreement_id), self.version)


@strawberry.type(description="There is no such agreement of this kind here or above.")
class AgreementNotFound(Problem): ...


@strawberry.type(description="What is current has not been accepted: show it, and ask again.")
class AgreementChanged(Problem):
    current: list[AgreementText] = strawberry.field(
        description="All that has to be accepted, as it is now."
    )

    @classmethod
    def of(cls, error: agreements.AgreementChanged) -> Self:
        return cls(message=str(error), current=[AgreementText.of(each) for each in error.current])


AgreementCreateResult = Annotated[
    Agreement | NodeNotFound,
    strawberry.union("AgreementCreateResult", description="The agreement, or why there is none."),
]
AgreementReviseResult = Annotated[
    Agreement | AgreementNotFound | EditedMeanwhile,
    strawberry.union("AgreementReviseResult", description="The agreement as it is, or why not."),
]


HANDLERS = [
    shown_as(AgreementNotFound, agreements.AgreementNotFound),
    shown_as(AgreementChanged, agreements.AgreementChanged),
]
