"""What the back office says to make and change packages, and what it is answered (BEN-5, BEN-9)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.packages import contents, details, rules
from app.services.packages.details import PackageDetails
from schema.benefits import BenefitNotFound
from schema.coupons import CouponPackNotFound, CouponTemplateNotFound
from schema.files import FileNotFound
from schema.organisation import NodeNotFound, StoreGroupNotFound
from schema.packages.agreements import AgreementNotFound
from schema.packages.contents import (
    BenefitOfOtherKind,
    ContentTierUnknown,
    PackageContentInput,
)
from schema.packages.packages import (
    Package,
    PackageArchived,
    PackageNotFound,
    PackagePublished,
    PackageStateUnchangeable,
)
from schema.packages.rules import PackageSalesRuleInput, TooManySalesRules
from schema.problems import EditedMeanwhile
from schema.scalars import CurrencyCode
from schema.scopes import AudienceNotFound, ScopeInput


@strawberry.input
class _AnyPackageInput:
    """What a package says, whether it is made or changed."""

    name: str = strawberry.field(
        description=f"What people call it, 1 to {details.NAME_CHARS_MAX} characters."
    )
    rules: list[PackageSalesRuleInput] = strawberry.field(
        description=f"Its sales rules, 1 to {rules.RULES_MAX}."
    )
    contents: list[PackageContentInput] = strawberry.field(
        default_factory=list, description=f"What comes with it, at most {contents.CONTENTS_MAX}."
    )
    scope: ScopeInput | None = strawberry.field(
        default=None,
        description="Where, when, on which channel and to whom it is sold; null is unlimited.",
    )
    tag: str | None = strawberry.field(
        default=None,
        description=f"A word to tell it by, 1 to {details.TAG_CHARS_MAX} characters.",
    )
    description: str | None = strawberry.field(
        default=None,
        description="What members read about it, 1 to"
        f" {details.DESCRIPTION_CHARS_MAX:,} characters.",
    )
    cover_file_id: strawberry.ID | None = strawberry.field(
        default=None, description="Its picture, `file_…`."
    )
    icon_file_id: strawberry.ID | None = strawberry.field(
        default=None, description="Its small picture, `file_…`."
    )
    purchase_agreement_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="What a buyer accepts: an agreement of kind PURCHASE made here or above,"
        " `agr_…`.",
    )
    terms_agreement_id: strawberry.ID | None = strawberry.field(
        default=None, description="How it is used: one of kind TERMS, `agr_…`; to be accepted too."
    )
    faq_agreement_id: strawberry.ID | None = strawberry.field(
        default=None, description="Questions and answers: one of kind FAQ, `agr_…`."
    )

    def details(self) -> PackageDetails:
        """What the package shall say; raises `BadInput`."""
        files = (self.cover_file_id, self.icon_file_id)
        named = (self.purchase_agreement_id, self.terms_agreement_id, self.faq_agreement_id)
        cover, icon = (None if i is None else parse_type_id("file", i) for i in files)
        purchase, terms, faq = (None if i is None else parse_type_id("agr", i) for i in named)
        return PackageDetails(
            name=self.name,
            scope=(self.scope or ScopeInput()).rules(),
            rules=tuple(each.rule() for each in self.rules),
            contents=tuple(each.content() for each in self.contents),
            tag=self.tag,
            description=self.description,
            cover_file_id=cover,
            icon_file_id=icon,
            purchase_agreement_id=purchase,
            terms_agreement_id=terms,
            faq_agreement_id=faq,
        )


@strawberry.input(description="A package to draft. It is sold once it is activated.")
class PackageCreateInput(_AnyPackageInput):
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )
    currency: CurrencyCode = strawberry.field(description="What it is paid in, for good.")


@strawberry.input(description="All that a package says from now on.")
class PackageUpdateInput(_AnyPackageInput):
    id: strawberry.ID = strawberry.field(description="The package, `pkg_…`.")
    expected_version: int = strawberry.field(description="The `version` the edit began with.")


@strawberry.input(description="A package to sell.")
class PackageActivateInput:
    id: strawberry.ID = strawberry.field(description="The package, `pkg_…`.")


@strawberry.input(description="A package to sell no more for now; those who own one keep it.")
class PackageDeactivateInput:
    id: strawberry.ID = strawberry.field(description="The package, `pkg_…`.")


@strawberry.input(description="A package never to sell again; those who own one keep it.")
class PackageArchiveInput:
    id: strawberry.ID = strawberry.field(description="The package, `pkg_…`.")


PackageCreateResult = Annotated[
    Package
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | TooManySalesRules
    | CouponTemplateNotFound
    | CouponPackNotFound
    | BenefitNotFound
    | BenefitOfOtherKind
    | ContentTierUnknown
    | AgreementNotFound
    | FileNotFound,
    strawberry.union("PackageCreateResult", description="The draft, or why there is none."),
]
PackageUpdateResult = Annotated[
    Package
    | PackageNotFound
    | PackagePublished
    | PackageArchived
    | EditedMeanwhile
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | TooManySalesRules
    | CouponTemplateNotFound
    | CouponPackNotFound
    | BenefitNotFound
    | BenefitOfOtherKind
    | ContentTierUnknown
    | AgreementNotFound
    | FileNotFound,
    strawberry.union("PackageUpdateResult", description="The package as it is now, or why not."),
]
PackageActivateResult = Annotated[
    Package | PackageNotFound | PackageStateUnchangeable,
    strawberry.union("PackageActivateResult", description="The active package, or why not."),
]
PackageDeactivateResult = Annotated[
    Package | PackageNotFound | PackageStateUnchangeable,
    strawberry.union("PackageDeactivateResult", description="The inactive package, or why not."),
]
PackageArchiveResult = Annotated[
    Package | PackageNotFound | PackageStateUnchangeable,
    strawberry.union("PackageArchiveResult", description="The archived package, or why not."),
]
