"""Packages as the back office makes them, sells them and sees how they sell (BEN-5…BEN-9)."""

from datetime import datetime
from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.packages import OwnedState, PackageState
from app.models.staff import Permission
from app.services.packages import buying, editing, listing, settings
from auth.permissions import Needs
from schema.context import Info
from schema.orders import OrderSold
from schema.packages.buying import PackageOffer, PackageSellInput, PackageSellResult
from schema.packages.editing import (
    PackageActivateInput,
    PackageActivateResult,
    PackageArchiveInput,
    PackageArchiveResult,
    PackageCreateInput,
    PackageCreateResult,
    PackageDeactivateInput,
    PackageDeactivateResult,
    PackageUpdateInput,
    PackageUpdateResult,
)
from schema.packages.owned import OwnedPackage, PackageSales, PackageStoreSales
from schema.packages.packages import Package
from schema.packages.settings import (
    PackageSettings,
    PackageSettingsSetInput,
    PackageSettingsSetResult,
)
from schema.pages import (
    PAGE_SIZE_DEFAULT,
    After,
    Connection,
    First,
    cursor_of,
    page_limit,
    row_after,
)
from schema.payment_methods import checked_method_code

Reads = Needs(Permission.PACKAGES_READ)
Writes = Needs(Permission.PACKAGES_WRITE)
Id = Annotated[strawberry.ID, strawberry.argument(description="The package, `pkg_…`.")]
PaidFrom = Annotated[
    datetime | None, strawberry.argument(description="Paid from this moment on; null is any.")
]
PaidTo = Annotated[
    datetime | None, strawberry.argument(description="Paid before this moment; null is any.")
]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The packages made above or below where the asker works, the newest first.",
    )
    async def packages(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            PackageState | None, strawberry.argument(description="Only in this state; null is any.")
        ] = None,
        search: Annotated[
            str | None,
            strawberry.argument(description="A part of the name, 1 to 120 characters, any case."),
        ] = None,
        perspective_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only made under this very node, `node_…`."),
        ] = None,
    ) -> Connection[Package]:
        rows = await info.context.read(
            editing.page,
            await info.context.actor(),
            state=state,
            name_part=search,
            perspective_id=parse_type_id("node", perspective_id) if perspective_id else None,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[Package].of(rows, first, Package.of)

    @strawberry.field(
        permission_classes=[Reads], description="One package, or null if the asker may not see it."
    )
    async def package(self, info: Info, id: Id) -> Package | None:
        row = await info.context.read(
            editing.seen_by, await info.context.actor(), package_id=parse_type_id("pkg", id)
        )
        return Package.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads], description="From when on what is bought is counted."
    )
    async def package_settings(self, info: Info) -> PackageSettings:
        actor = await info.context.actor()
        row = await info.context.read(
            settings.settings, group_id=actor.group_id, now=info.context.now
        )
        return PackageSettings.of(row)

    @strawberry.field(
        permission_classes=[Reads],
        description="How a package sold, as far as the asker may see: in their stores, and online"
        " where it was made. Null if they may not see it at all.",
    )
    async def package_sales(
        self, info: Info, id: Id, paid_from: PaidFrom = None, paid_to: PaidTo = None
    ) -> PackageSales | None:
        actor, package_id = await info.context.actor(), parse_type_id("pkg", id)
        found = await info.context.read(
            listing.sales, actor, package_id=package_id, span=listing.Span(paid_from, paid_to)
        )
        return None if found is None else PackageSales.of(found.sales, found.currency)

    @strawberry.field(
        permission_classes=[Reads],
        description="The same by store; what was sold at none comes first.",
    )
    async def package_sales_by_store(
        self,
        info: Info,
        id: Id,
        paid_from: PaidFrom = None,
        paid_to: PaidTo = None,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> Connection[PackageStoreSales]:
        rows = await info.context.read(
            listing.sales_page,
            await info.context.actor(),
            package_id=parse_type_id("pkg", id),
            span=listing.Span(paid_from, paid_to),
            after=row_after(after),
            limit=page_limit(first),
        )
        return Connection[PackageStoreSales].of(
            rows,
            first,
            PackageStoreSales.of,
            cursor=lambda row: cursor_of(row.sales.store_id or listing.AT_NO_STORE),
        )

    @strawberry.field(
        permission_classes=[Reads],
        description="Who bought a package, or what a member bought, newest first: in stores where"
        " the asker may read it, and online where it was made.",
    )
    async def owned_packages(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        package_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Of this package, `pkg_…`; or name a member."),
        ] = None,
        member_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Of this member, `mem_…`; or name a package."),
        ] = None,
        state: Annotated[
            OwnedState | None, strawberry.argument(description="Only in this state; null is any.")
        ] = None,
    ) -> Connection[OwnedPackage]:
        rows = await info.context.read(
            listing.page,
            await info.context.actor(),
            package_id=parse_type_id("pkg", package_id) if package_id else None,
            member_id=parse_type_id("mem", member_id) if member_id else None,
            state=state,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[OwnedPackage].of(rows, first, OwnedPackage.of)

    @strawberry.field(
        permission_classes=[Needs(Permission.PACKAGES_SELL)],
        description="What a till can sell for a card, or to open a member's card of a scheme,"
        " oldest package first; at most 200. Null if there is no such till, card or member.",
    )
    async def package_offers(
        self,
        info: Info,
        terminal_id: Annotated[
            strawberry.ID, strawberry.argument(description="The till, `term_…`.")
        ],
        card_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The card, `card_…`.")
        ] = None,
        member_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="With `schemeId`: whose card is opened, `mem_…`."),
        ] = None,
        scheme_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Instead of a card, the scheme, `sch_…`."),
        ] = None,
    ) -> list[PackageOffer] | None:
        found = await info.context.read(
            listing.offers_at_terminal,
            await info.context.actor(),
            terminal_id=parse_type_id("term", terminal_id),
            card_id=parse_type_id("card", card_id) if card_id else None,
            member_id=parse_type_id("mem", member_id) if member_id else None,
            scheme_id=parse_type_id("sch", scheme_id) if scheme_id else None,
            now=info.context.now,
        )
        return None if found is None else [PackageOffer.of(each) for each in found]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes], description="Draft a package under a perspective."
    )
    async def package_create(
        self,
        info: Info,
        input: Annotated[PackageCreateInput, strawberry.argument(description="The package.")],
    ) -> PackageCreateResult:
        row = await info.context.run(
            editing.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            currency=input.currency,
            details=input.details(),
            now=info.context.now,
        )
        return Package.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what a package says. One on sale is deactivated first; what was bought"
        " stays as it was.",
    )
    async def package_update(
        self,
        info: Info,
        input: Annotated[PackageUpdateInput, strawberry.argument(description="The package.")],
    ) -> PackageUpdateResult:
        row = await info.context.run(
            editing.change,
            await info.context.actor(),
            package_id=parse_type_id("pkg", input.id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return Package.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Sell a package from now on, as it stands.",
    )
    async def package_activate(
        self,
        info: Info,
        input: Annotated[PackageActivateInput, strawberry.argument(description="Which package.")],
    ) -> PackageActivateResult:
        return await _move(info, input.id, PackageState.ACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Sell a package no more until it is activated again.",
    )
    async def package_deactivate(
        self,
        info: Info,
        input: Annotated[PackageDeactivateInput, strawberry.argument(description="Which package.")],
    ) -> PackageDeactivateResult:
        return await _move(info, input.id, PackageState.INACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Put a package away for good, if it is a draft or inactive.",
    )
    async def package_archive(
        self,
        info: Info,
        input: Annotated[PackageArchiveInput, strawberry.argument(description="Which package.")],
    ) -> PackageArchiveResult:
        return await _move(info, input.id, PackageState.ARCHIVED)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Set from when on what is bought is counted; what was bought keeps its time.",
    )
    async def package_settings_set(
        self,
        info: Info,
        input: Annotated[PackageSettingsSetInput, strawberry.argument(description="The rule.")],
    ) -> PackageSettingsSetResult:
        row = await info.context.run(
            settings.set_settings,
            await info.context.actor(),
            expected_version=input.expected_version,
            validity_rule=input.validity_rule,
            now=info.context.now,
        )
        return PackageSettings.of(row)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.PACKAGES_SELL)],
        description="Sell a package at a till: the money was taken, and it is on the card at once.",
    )
    async def package_sell(
        self,
        info: Info,
        input: Annotated[PackageSellInput, strawberry.argument(description="What was sold.")],
    ) -> PackageSellResult:
        code, member_id = input.method_code, input.member_id
        sold = await info.context.run(
            buying.sell,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            member_id=None if member_id is None else parse_type_id("mem", member_id),
            choice=input.choice(),
            method_code=None if code is None else checked_method_code(code),
            request_key=input.request_key,
            now=info.context.now,
        )
        return OrderSold.of(sold)


async def _move(info: Info, package_id: strawberry.ID, state: PackageState) -> Package:
    row = await info.context.run(
        editing.move,
        await info.context.actor(),
        package_id=parse_type_id("pkg", package_id),
        state=state,
        now=info.context.now,
    )
    return Package.of(row)
