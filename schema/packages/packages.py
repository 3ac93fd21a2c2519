"""Packages, as those who make them see them, and why one cannot be made or changed (BEN-5)."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.models import packages as rows
from app.models.packages import PackageState
from app.services.packages import contents, editing
from app.services.packages.rules import SalesRule
from schema.context import Info
from schema.enums import describe
from schema.files import Image, image_of
from schema.organisation import Node
from schema.packages.agreements import AgreementText
from schema.packages.contents import PackageContent
from schema.packages.rules import PackageSalesRule
from schema.problems import Problem, shown_as
from schema.scalars import CurrencyCode
from schema.scopes import Scope

describe(
    PackageState,
    "Whether a package is sold.",
    {
        "DRAFT": "Not yet.",
        "ACTIVE": "Yes, wherever and whenever its scope says; it cannot be edited.",
        "INACTIVE": "Not now: it can be edited and activated again.",
        "ARCHIVED": "Never again.",
    },
)


def package_id_of(package_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("pkg", package_id))


@strawberry.type
class _AnyPackage:
    """What both schemas say of a package; the admin schema adds how it is edited."""

    id: strawberry.ID = strawberry.field(description="Its id, `pkg_…`.")
    name: str = strawberry.field(description="What people call it.")
    tag: str | None = strawberry.field(description="A word to tell it by, such as Quarterly.")
    description: str | None = strawberry.field(description="What members read about it.")
    currency: CurrencyCode = strawberry.field(
        description="What it is paid in; it is for cards kept in it."
    )
    row: strawberry.Private[rows.Package]

    @classmethod
    def of(cls, row: rows.Package) -> Self:
        return cls(
            id=package_id_of(row.id),
            name=row.name,
            tag=row.tag,
            description=row.description,
            currency=CurrencyCode(row.currency),
            row=row,
        )

    @strawberry.field(description="Its picture; null without one.")
    async def cover(self, info: Info) -> Image | None:
        return await image_of(info, self.row.cover_file_id)

    @strawberry.field(description="Its small picture; null without one.")
    async def icon(self, info: Info) -> Image | None:
        return await image_of(info, self.row.icon_file_id)

    @strawberry.field(description="All that comes with it, at most 30.")
    def contents(self) -> list[PackageContent]:
        return [PackageContent.of(each) for each in contents.contents_of(self.row.contents)]

    @strawberry.field(description="What a buyer agrees to, as it is now; null is nothing.")
    async def purchase_agreement(self, info: Info) -> AgreementText | None:
        return await _text(info, self.row.purchase_agreement_id)

    @strawberry.field(description="How it is used, as it is now; null is nothing.")
    async def terms_of_use(self, info: Info) -> AgreementText | None:
        return await _text(info, self.row.terms_agreement_id)

    @strawberry.field(description="Questions and answers, as they are now; null is none.")
    async def faq(self, info: Info) -> AgreementText | None:
        return await _text(info, self.row.faq_agreement_id)


async def _text(info: Info, agreement_id: UUID | None) -> AgreementText | None:
    if agreement_id is None:
        return None
    return AgreementText.of(await info.context.loaders.agreement_text.load(agreement_id))


@strawberry.type(description="A package on sale: benefits that are sold together for some time.")
class OfferedPackage(_AnyPackage):
    """As its buyers see it: what it costs them stands beside it."""


@strawberry.type(description="Benefits that are sold together for some time.")
class Package(_AnyPackage):
    @strawberry.field(description="Whether it is sold.")
    def state(self) -> PackageState:
        return self.row.state

    @strawberry.field(description="Counts the edits, for `expectedVersion`.")
    def version(self) -> int:
        return self.row.version

    @strawberry.field(description="When it was drafted.")
    def created_at(self) -> datetime:
        return self.row.created_at

    @strawberry.field(description="When it was last edited.")
    def changed_at(self) -> datetime:
        return self.row.changed_at

    @strawberry.field(description="Its sales rules, at most 5.")
    def rules(self) -> list[PackageSalesRule]:
        row = self.row
        return [PackageSalesRule.of(SalesRule.from_document(r), row.currency) for r in row.rules]

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))

    @strawberry.field(description="Where, when, on which channel and to whom it is sold.")
    async def scope(self, info: Info) -> Scope:
        return Scope.of(await info.context.loaders.scope.load(self.row.scope_id))


@strawberry.type(description="There is no such package.")
class PackageNotFound(Problem): ...


@strawberry.type(description="The package is on sale: it is deactivated before it is edited.")
class PackagePublished(Problem): ...


@strawberry.type(description="The package was put away for good.")
class PackageArchived(Problem): ...


@strawberry.type(description="A package in this state cannot become what was asked for.")
class PackageStateUnchangeable(Problem):
    current: PackageState = strawberry.field(description="The package's state.")

    @classmethod
    def of(cls, error: editing.PackageStateUnchangeable) -> Self:
        return cls(message=str(error), current=error.current)


HANDLERS = [
    shown_as(PackageNotFound, editing.PackageNotFound),
    shown_as(PackagePublished, editing.PackagePublished),
    shown_as(PackageArchived, editing.PackageArchived),
    shown_as(PackageStateUnchangeable, editing.PackageStateUnchangeable),
]
