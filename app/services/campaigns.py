"""Campaigns, as far as benefits lead to them: made, begun, paused, ended (CMP-1, BEN-4)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import DomainError
from app.core.ids import LARGEST_ID
from app.core.texts import checked_text
from app.models.campaigns import Campaign, CampaignKind, CampaignState
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, organisation, perspectives, scopes, versions
from app.services.actors import Actor

TABLE: Any = Campaign.__table__  # type: ignore[attr-defined]
NAME_CHARS_MAX = 120

campaigns_by_id = statement(select(Campaign).where(any_of(col(Campaign.id), "ids")), into=Campaign)
lock_campaign = statement(
    select(Campaign)
    .where(col(Campaign.id) == bindparam("campaign_id"))
    .with_for_update(key_share=True),
    into=Campaign,
)
page_of_campaigns = statement(
    select(Campaign)
    .where(
        *perspectives.in_sight(Campaign),
        col(Campaign.id) < bindparam("before"),
        if_given("state", Campaign.state),
        if_given("kind", Campaign.kind),
        if_given("only_as_member_benefit", Campaign.only_as_member_benefit),
    )
    .order_by(col(Campaign.id).desc())
    .limit(bindparam("at_most")),
    into=Campaign,
)
namesake = statement(
    select(Campaign.id).where(
        col(Campaign.perspective_id) == bindparam("perspective_id"),
        col(Campaign.name) == bindparam("name"),
    ),
    into=UUID,
)
change_name = statement(
    update(Campaign)
    .where(col(Campaign.id) == bindparam("campaign_id"))
    .values(
        version=col(Campaign.version) + 1,
        changed_at=bindparam("new_changed_at"),
        name=bindparam("new_name"),
    )
    .returning(*TABLE.columns),
    into=Campaign,
)
set_state = statement(
    update(Campaign)
    .where(col(Campaign.id) == bindparam("campaign_id"))
    .values(
        version=col(Campaign.version) + 1,
        changed_at=bindparam("new_changed_at"),
        state=bindparam("new_state"),
    )
    .returning(*TABLE.columns),
    into=Campaign,
)
new_campaign = light(Campaign)

MOVES = {
    (CampaignState.DRAFT, CampaignState.ACTIVE),
    (CampaignState.ACTIVE, CampaignState.PAUSED),
    (CampaignState.PAUSED, CampaignState.ACTIVE),
    (CampaignState.DRAFT, CampaignState.ENDED),
    (CampaignState.ACTIVE, CampaignState.ENDED),
    (CampaignState.PAUSED, CampaignState.ENDED),
}
"""What has ended stays so."""


class CampaignNotFound(DomainError):
    """No such campaign in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such campaign.")


class CampaignNameTaken(DomainError):
    """Another campaign of the same perspective has this name."""

    def __init__(self) -> None:
        super().__init__("There is already a campaign with this name.")


class CampaignStateUnchangeable(DomainError):
    """A state cannot follow another."""

    def __init__(self, current: CampaignState, wanted: CampaignState) -> None:
        self.current = current
        super().__init__(f"A campaign that is {current.lower()} cannot become {wanted.lower()}.")


class MemberBenefitFixed(DomainError):
    """Whether a campaign is only a member benefit was said when it was made (BEN-4)."""

    def __init__(self, campaign: Campaign) -> None:
        self.only_as_member_benefit = campaign.only_as_member_benefit
        super().__init__("Whether a campaign is only a member benefit cannot be changed.")


class NotAMemberBenefit(DomainError):
    """A campaign that everybody can take part in is nobody's benefit (BEN-4)."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign_id = campaign.id
        super().__init__("Only a campaign made as a member benefit can be one.")


async def by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Campaign]:
    return {row.id: row for row in await tx.all(campaigns_by_id, ids=list(ids))}


async def seen_by(tx: Transaction, actor: Actor, *, campaign_id: UUID) -> Campaign | None:
    """A campaign if it exists and the actor may read it (ORG-1)."""
    campaign = (await by_ids(tx, [campaign_id])).get(campaign_id)
    return await perspectives.seen(tx, actor, Permission.BENEFITS_READ, campaign)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: CampaignState | None = None,
    kind: CampaignKind | None = None,
    only_as_member_benefit: bool | None = None,
    before: UUID | None,
    limit: int,
) -> list[Campaign]:
    """The campaigns made above or below where the actor may read them, newest first."""
    return await tx.all(
        page_of_campaigns,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.BENEFITS_READ),
        state=state,
        kind=kind,
        only_as_member_benefit=only_as_member_benefit,
        at_most=limit,
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    kind: CampaignKind,
    name: str,
    only_as_member_benefit: bool,
    now: datetime,
) -> Campaign:
    """Draft a campaign under a perspective. Raises `NodeNotFound`, `CampaignNameTaken`."""
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.BENEFITS_WRITE, perspective)
    campaign = new_campaign(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        kind=kind,
        name=await _free_name(tx, perspective.id, name, own_id=None),
        only_as_member_benefit=only_as_member_benefit,
        created_at=now,
        changed_at=now,
    )
    await tx.insert(campaign)
    await _record(tx, actor, "campaign.create", campaign, now, kind=kind)
    return campaign


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    campaign_id: UUID,
    expected_version: int,
    name: str,
    only_as_member_benefit: bool,
    now: datetime,
) -> Campaign:
    """Rename a campaign; whether it is only a member benefit stays as it was made (BEN-4).

    Raises `CampaignNotFound`, `EditedMeanwhile`, `MemberBenefitFixed`, `CampaignNameTaken`.
    """
    campaign = await _locked_for(tx, actor, campaign_id)
    versions.require_version(campaign.version, expected=expected_version)
    if only_as_member_benefit != campaign.only_as_member_benefit:
        raise MemberBenefitFixed(campaign)
    name = await _free_name(tx, campaign.perspective_id, name, own_id=campaign.id)
    changed = await tx.one(change_name, campaign_id=campaign.id, new_name=name, new_changed_at=now)
    assert changed is not None, "a campaign is never deleted"
    await _record(tx, actor, "campaign.update", changed, now)
    return changed


async def move(
    tx: Transaction, actor: Actor, *, campaign_id: UUID, state: CampaignState, now: datetime
) -> Campaign:
    """Begin, pause, resume or end a campaign.

    Raises `CampaignNotFound`, `CampaignStateUnchangeable`.
    """
    campaign = await _locked_for(tx, actor, campaign_id)
    if (campaign.state, state) not in MOVES:
        raise CampaignStateUnchangeable(campaign.state, state)
    moved = await tx.one(set_state, campaign_id=campaign.id, new_state=state, new_changed_at=now)
    assert moved is not None, "a campaign is never deleted"
    await _record(tx, actor, "campaign.move", moved, now, was=campaign.state, became=state)
    return moved


async def require_member_benefit(
    tx: Transaction, *, perspective: Node, campaign_id: UUID
) -> Campaign:
    """A campaign that a benefit made under the perspective may lead to (BEN-4).

    Raises `CampaignNotFound`, `NotAMemberBenefit`.
    """
    campaign = (await by_ids(tx, [campaign_id])).get(campaign_id)
    if campaign is None or campaign.perspective_id not in scopes.lineage_of(perspective):
        raise CampaignNotFound
    if not campaign.only_as_member_benefit:
        raise NotAMemberBenefit(campaign)
    return campaign


async def _locked_for(tx: Transaction, actor: Actor, campaign_id: UUID) -> Campaign:
    campaign = await tx.one(lock_campaign, campaign_id=campaign_id)
    if campaign is None or campaign.group_id != actor.group_id:
        raise CampaignNotFound
    actor.require(Permission.BENEFITS_WRITE, await organisation.node(tx, campaign.perspective_id))
    return campaign


async def _free_name(
    tx: Transaction, perspective_id: UUID, name: str, *, own_id: UUID | None
) -> str:
    """The name, checked; raises `CampaignNameTaken`."""
    name = checked_text("name", name, at_most=NAME_CHARS_MAX)
    if await tx.one(namesake, perspective_id=perspective_id, name=name) not in {None, own_id}:
        raise CampaignNameTaken
    return name


async def _record(
    tx: Transaction, actor: Actor, action: str, of: Campaign, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="campaign", object_id=of.id, node_id=of.perspective_id,
        now=now, version=of.version, **details,
    )  # fmt: skip
