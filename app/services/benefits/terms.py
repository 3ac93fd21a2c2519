"""A benefit as it holds for a card: read from its rows, or from what a grant wrote down of it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.db import Transaction
from app.models.benefits import Benefit, BenefitGrant, BenefitKind
from app.models.scopes import Channel
from app.services import organisation, scopes
from app.services.benefits.details import Details, Restrictions, details_of
from app.services.scopes import LoadedScope, ScopeRules


@dataclass(frozen=True)
class Terms:
    """All that decides whether a benefit holds and what it gives."""

    benefit_id: UUID
    kind: BenefitKind
    name: str
    brief: str
    description: str | None
    icon_file_id: UUID | None
    currency: str | None
    details_document: dict[str, Any]
    restrictions: Restrictions
    scope: LoadedScope
    time_zone: str
    """Of the node it was made under: its calendar tells a birthday's days."""

    @cached_property
    def details(self) -> Details:
        return details_of(self.kind, self.details_document)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def audience(self) -> LoadedScope:
        """For whom, wherever and whenever."""
        for_whom = replace(
            self.scope.rules,
            channels=frozenset(Channel),
            schedule=None,
            included_node_ids=frozenset(),
            excluded_node_ids=frozenset(),
            included_store_group_ids=frozenset(),
            excluded_store_group_ids=frozenset(),
        )
        return replace(self.scope, rules=for_whom)


_PLACES = (
    "included_node_ids",
    "excluded_node_ids",
    "included_store_group_ids",
    "excluded_store_group_ids",
)


async def of_benefits(tx: Transaction, benefits: Collection[Benefit]) -> list[Terms]:
    """The benefits as they are now, in their order: four statements, however many there are."""
    if not benefits:
        return []
    loaded = await scopes.load(tx, [benefit.scope_id for benefit in benefits])
    places = await organisation.nodes(tx, list({benefit.perspective_id for benefit in benefits}))
    return [
        Terms(
            benefit_id=each.id,
            kind=each.kind,
            name=each.name,
            brief=each.brief,
            description=each.description,
            icon_file_id=each.icon_file_id,
            currency=each.currency,
            details_document=each.details,
            restrictions=Restrictions.from_document(each.restrictions),
            scope=loaded[each.scope_id],
            time_zone=places[each.perspective_id].time_zone,
        )
        for each in benefits
    ]


def document_of(terms: Terms) -> dict[str, Any]:
    """What a grant keeps of a benefit: all but for whom it was, for it is the card's own now."""
    scope, icon = terms.scope, terms.icon_file_id
    return {
        "kind": terms.kind.value,
        "name": terms.name,
        "brief": terms.brief,
        "description": terms.description,
        "icon_file_id": None if icon is None else str(icon),
        "currency": terms.currency,
        "details": terms.details_document,
        "restrictions": terms.restrictions.document(),
        "time_zone": terms.time_zone,
        "scope": {
            "id": str(scope.id),
            "perspective_id": str(scope.perspective_id),
            "lineage": sorted(map(str, scope.lineage)),
            "channels": sorted(scope.rules.channels),
            "schedule": scope.rules.schedule,
            **{name: sorted(map(str, getattr(scope.rules, name))) for name in _PLACES},
        },
    }


def of_grant(grant: BenefitGrant) -> Terms:
    """The benefit as it was when it was given."""
    written, scope = grant.terms, grant.terms["scope"]
    icon = written["icon_file_id"]
    rules = ScopeRules(
        channels=frozenset(map(Channel, scope["channels"])),
        schedule=scope["schedule"],
        included_node_ids=_ids(scope["included_node_ids"]),
        excluded_node_ids=_ids(scope["excluded_node_ids"]),
        included_store_group_ids=_ids(scope["included_store_group_ids"]),
        excluded_store_group_ids=_ids(scope["excluded_store_group_ids"]),
    )
    return Terms(
        benefit_id=grant.benefit_id,
        kind=BenefitKind(written["kind"]),
        name=written["name"],
        brief=written["brief"],
        description=written["description"],
        icon_file_id=None if icon is None else UUID(icon),
        currency=written["currency"],
        details_document=written["details"],
        restrictions=Restrictions.from_document(written["restrictions"]),
        scope=LoadedScope(
            id=UUID(scope["id"]),
            perspective_id=UUID(scope["perspective_id"]),
            lineage=_ids(scope["lineage"]),
            rules=rules,
        ),
        time_zone=written["time_zone"],
    )


def _ids(written: list[str]) -> frozenset[UUID]:
    return frozenset(map(UUID, written))
