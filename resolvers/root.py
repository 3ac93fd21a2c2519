"""The two schemas, put together from what each domain contributes."""

from collections.abc import Iterable
from typing import Any

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from resolvers.admin import adjustments as admin_adjustments
from resolvers.admin import agreements as admin_agreements
from resolvers.admin import audit as admin_audit
from resolvers.admin import behaviour as admin_behaviour
from resolvers.admin import benefits as admin_benefits
from resolvers.admin import campaigns as admin_campaigns
from resolvers.admin import cards as admin_cards
from resolvers.admin import compliance as admin_compliance
from resolvers.admin import consumption as admin_consumption
from resolvers.admin import coupon_changes as admin_coupon_changes
from resolvers.admin import coupon_packs_on_sale as admin_coupon_packs_on_sale
from resolvers.admin import coupon_templates as admin_coupon_templates
from resolvers.admin import coupons as admin_coupons
from resolvers.admin import gift_card_office as admin_gift_card_office
from resolvers.admin import gift_cards as admin_gift_cards
from resolvers.admin import imports as admin_imports
from resolvers.admin import jobs as admin_jobs
from resolvers.admin import member_codes as admin_member_codes
from resolvers.admin import members as admin_members
from resolvers.admin import orders as admin_orders
from resolvers.admin import organisation as admin_organisation
from resolvers.admin import packages as admin_packages
from resolvers.admin import partners as admin_partners
from resolvers.admin import payment_methods as admin_payment_methods
from resolvers.admin import points as admin_points
from resolvers.admin import points_mall as admin_points_mall
from resolvers.admin import purchases as admin_purchases
from resolvers.admin import recharge_codes as admin_recharge_codes
from resolvers.admin import reports as admin_reports
from resolvers.admin import schemes as admin_schemes
from resolvers.admin import sessions as admin_sessions
from resolvers.admin import smart_top_ups as admin_smart_top_ups
from resolvers.admin import spendings as admin_spendings
from resolvers.admin import staff as admin_staff
from resolvers.admin import student_ids as admin_student_ids
from resolvers.admin import tags as admin_tags
from resolvers.admin import tiers as admin_tiers
from resolvers.admin import top_up_batches as admin_top_up_batches
from resolvers.admin import top_up_plans as admin_top_up_plans
from resolvers.admin import top_ups as admin_top_ups
from resolvers.member import behaviour as member_behaviour
from resolvers.member import benefits as member_benefits
from resolvers.member import cards as member_cards
from resolvers.member import coupon_handovers as member_coupon_handovers
from resolvers.member import coupon_packs as member_coupon_packs
from resolvers.member import coupons as member_coupons
from resolvers.member import gift_cards as member_gift_cards
from resolvers.member import identities as member_identities
from resolvers.member import live as member_live
from resolvers.member import member_codes as member_member_codes
from resolvers.member import members as member_members
from resolvers.member import notices as member_notices
from resolvers.member import orders as member_orders
from resolvers.member import packages as member_packages
from resolvers.member import points_mall as member_points_mall
from resolvers.member import purchases as member_purchases
from resolvers.member import recharge_codes as member_recharge_codes
from resolvers.member import sessions as member_sessions
from resolvers.member import sign_in as member_sign_in
from resolvers.member import smart_top_ups as member_smart_top_ups
from resolvers.member import spendings as member_spendings
from resolvers.member import student_ids as member_student_ids
from resolvers.member import top_ups as member_top_ups
from schema import (
    adjustments,
    behaviour,
    benefits,
    campaigns,
    cards,
    compliance,
    consumption,
    coupons,
    gift_card_batches,
    gift_card_office,
    gift_cards,
    identities,
    imports,
    jobs,
    ledger,
    member_codes,
    members,
    notices,
    orders,
    organisation,
    packages,
    partners,
    payment_methods,
    payments,
    points,
    points_mall,
    purchases,
    recharge_codes,
    reports,
    requests,
    schemes,
    scopes,
    sessions,
    smart_top_ups,
    spendings,
    staff,
    student_ids,
    tags,
    tiers,
    timeline,
    top_up_batches,
    top_up_plans,
    top_ups,
    verification_codes,
)
from schema.problems import Refusals
from schema.scalars import SCALARS

MEMBER = (
    member_behaviour,
    member_benefits,
    member_cards,
    member_coupon_handovers,
    member_coupon_packs,
    member_coupons,
    member_gift_cards,
    member_identities,
    member_live,
    member_member_codes,
    member_members,
    member_notices,
    member_orders,
    member_points_mall,
    member_packages,
    member_purchases,
    member_recharge_codes,
    member_sessions,
    member_sign_in,
    member_smart_top_ups,
    member_spendings,
    member_student_ids,
    member_top_ups,
)
ADMIN = (
    admin_adjustments,
    admin_agreements,
    admin_audit,
    admin_behaviour,
    admin_benefits,
    admin_campaigns,
    admin_cards,
    admin_compliance,
    admin_consumption,
    admin_coupon_templates,
    admin_coupon_changes,
    admin_coupon_packs_on_sale,
    admin_coupons,
    admin_gift_card_office,
    admin_gift_cards,
    admin_imports,
    admin_jobs,
    admin_member_codes,
    admin_members,
    admin_orders,
    admin_organisation,
    admin_payment_methods,
    admin_packages,
    admin_partners,
    admin_points,
    admin_points_mall,
    admin_purchases,
    admin_recharge_codes,
    admin_reports,
    admin_schemes,
    admin_sessions,
    admin_smart_top_ups,
    admin_spendings,
    admin_staff,
    admin_student_ids,
    admin_tags,
    admin_tiers,
    admin_top_up_batches,
    admin_top_up_plans,
    admin_top_ups,
)
HANDLERS = [
    handler
    for domain in (
        adjustments,
        behaviour,
        benefits,
        campaigns,
        cards,
        compliance,
        consumption,
        coupons,
        gift_card_batches,
        gift_card_office,
        gift_cards,
        identities,
        imports,
        jobs,
        ledger,
        member_codes,
        members,
        notices,
        orders,
        organisation,
        packages,
        partners,
        payment_methods,
        payments,
        points,
        points_mall,
        purchases,
        recharge_codes,
        reports,
        requests,
        schemes,
        scopes,
        sessions,
        smart_top_ups,
        spendings,
        staff,
        student_ids,
        tags,
        tiers,
        timeline,
        top_up_batches,
        top_up_plans,
        top_ups,
        verification_codes,
    )
    for handler in domain.HANDLERS
]


def _root(name: str, modules: Iterable[Any], description: str) -> type | None:
    """One root type of every module's part; a duplicate field is an error, not an override."""
    parts = tuple(getattr(module, name) for module in modules if hasattr(module, name))
    if not parts:
        return None
    fields = [field for part in parts for field in part.__annotations__]
    assert len(fields) == len(set(fields)), f"two modules declare the same {name} field"
    merged = merge_types(name, parts)
    definition = merged.__strawberry_definition__  # type: ignore[attr-defined]
    definition.description = description
    for field in definition.fields:
        field.extensions.append(Refusals(HANDLERS))
    return merged


def _schema(modules: Iterable[Any], audience: str) -> strawberry.Schema:
    query = _root("Query", modules, f"What {audience} can read.")
    assert query is not None
    return strawberry.Schema(
        query=query,
        mutation=_root("Mutation", modules, f"What {audience} can do."),
        subscription=_root("Subscription", modules, f"What {audience} is told at once."),
        config=StrawberryConfig(scalar_map=SCALARS),
    )


member_schema = _schema(MEMBER, "a member")
admin_schema = _schema(ADMIN, "staff or a partner")
