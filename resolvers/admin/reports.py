"""What finance reads: balances, liabilities, statistics (FIN-2, PTS-8, TOP-10, TOP-11)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.links import LINK_LIFE, SignedIn
from app.services.reports import (
    compliance,
    coupons,
    downloads,
    gift_cards,
    points,
    stored_value,
    top_ups,
)
from app.services.reports.coupons import CouponGrouping
from app.services.reports.top_ups import Grouping
from auth.permissions import Needs
from schema.context import Info
from schema.reports import (
    ComplianceReport,
    CouponReport,
    From,
    GiftCardReport,
    PerspectiveId,
    PointsLiabilityReport,
    ReportLink,
    ReportLinkInput,
    StoredValueReport,
    To,
    TopUpStatistics,
)

READS = [Needs(Permission.REPORTS_READ)]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=READS,
        description="Cash and bonus over a period: opening, movements, closing, scheme by scheme.",
    )
    async def stored_value_report(
        self,
        info: Info,
        perspective_id: PerspectiveId,
        from_: From,
        to: To,
        by_store: Annotated[
            bool, strawberry.argument(description="Whether to split movements by store.")
        ] = False,
    ) -> StoredValueReport:
        # Away from everybody's short reads, as every report: these may be long.
        found = await info.context.database.scan(
            stored_value.report,
            await info.context.actor(),
            perspective_id=parse_type_id("node", perspective_id),
            from_day=from_,
            to_day=to,
            by_store=by_store,
            now=info.context.now,
        )
        return StoredValueReport.of(found)

    @strawberry.field(
        permission_classes=READS,
        description="Points over a period, what is outstanding until when, and what it costs.",
    )
    async def points_liability_report(
        self, info: Info, perspective_id: PerspectiveId, from_: From, to: To
    ) -> PointsLiabilityReport:
        found = await info.context.database.scan(
            points.report,
            await info.context.actor(),
            perspective_id=parse_type_id("node", perspective_id),
            from_day=from_,
            to_day=to,
            now=info.context.now,
        )
        return PointsLiabilityReport.of(found)

    @strawberry.field(
        permission_classes=READS,
        description="Top-ups credited in a period; lists and codes are counted apart.",
    )
    async def top_up_statistics(
        self,
        info: Info,
        perspective_id: PerspectiveId,
        from_: From,
        to: To,
        group_by: Annotated[Grouping, strawberry.argument(description="By what to add up.")],
    ) -> TopUpStatistics:
        found = await info.context.database.scan(
            top_ups.report,
            await info.context.actor(),
            perspective_id=parse_type_id("node", perspective_id),
            from_day=from_,
            to_day=to,
            grouping=group_by,
            now=info.context.now,
        )
        return TopUpStatistics.of(found)

    @strawberry.field(
        permission_classes=READS,
        description="Gift cards over a period: sales, opening, movements, closing, by product.",
    )
    async def gift_card_report(
        self,
        info: Info,
        perspective_id: PerspectiveId,
        from_: From,
        to: To,
        by_store: Annotated[
            bool, strawberry.argument(description="Whether to split movements by store.")
        ] = False,
    ) -> GiftCardReport:
        found = await info.context.database.scan(
            gift_cards.report,
            await info.context.actor(),
            perspective_id=parse_type_id("node", perspective_id),
            from_day=from_,
            to_day=to,
            by_store=by_store,
            now=info.context.now,
        )
        return GiftCardReport.of(found)

    @strawberry.field(
        permission_classes=READS,
        description="Coupons over a period: issued, used, ended, and what they cost.",
    )
    async def coupon_report(
        self,
        info: Info,
        perspective_id: Annotated[
            strawberry.ID,
            strawberry.argument(
                description="The node, `node_…`: the report covers the templates made there or"
                " below."
            ),
        ],
        from_: From,
        to: To,
        group_by: Annotated[CouponGrouping, strawberry.argument(description="By what to add up.")],
    ) -> CouponReport:
        found = await info.context.database.scan(
            coupons.report,
            await info.context.actor(),
            perspective_id=parse_type_id("node", perspective_id),
            from_day=from_,
            to_day=to,
            grouping=group_by,
            now=info.context.now,
        )
        return CouponReport.of(found)

    @strawberry.field(
        permission_classes=READS,
        description="Limits of prepaid cards: what is in force, and what is beyond it.",
    )
    async def compliance_report(
        self, info: Info, perspective_id: PerspectiveId, from_: From, to: To
    ) -> ComplianceReport:
        found = await info.context.database.scan(
            compliance.report,
            await info.context.actor(),
            perspective_id=parse_type_id("node", perspective_id),
            from_day=from_,
            to_day=to,
            now=info.context.now,
        )
        return ComplianceReport.of(found)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=READS,
        description="A link under which a report can be fetched once, within five minutes and for"
        " as long as the asker is signed in. That it was fetched is recorded.",
    )
    async def report_link(
        self,
        info: Info,
        input: Annotated[ReportLinkInput, strawberry.argument(description="Which report.")],
    ) -> ReportLink:
        context = info.context
        assert context.principal is not None
        secret = await context.run(
            downloads.link,
            await context.actor(),
            asked=input.asked(),
            signed_in=SignedIn(
                session_id=context.principal.session_id, scopes=context.principal.scopes
            ),
            now=context.now,
        )
        return ReportLink(
            url=f"{context.settings.public_url.rstrip('/')}/reports/{secret}",
            expires_at=context.now + LINK_LIFE,
        )
