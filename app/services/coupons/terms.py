"""Coupons' terms by id: rows that never change."""

from collections.abc import Collection
from uuid import UUID

from sqlmodel import col, select

from app.core.db import Transaction, any_of, light, statement
from app.models.coupons import CouponTerms

terms_by_id = statement(
    select(CouponTerms).where(any_of(col(CouponTerms.id), "ids")), into=CouponTerms
)
new_terms = light(CouponTerms)


async def by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, CouponTerms]:
    return {row.id: row for row in await tx.all(terms_by_id, ids=list(ids))}
