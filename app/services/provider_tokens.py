"""Access tokens of outside providers, shared by all processes and renewed by one (IDN-1)."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.models.operations import ProviderToken

token_by_name = statement(
    select(ProviderToken).where(col(ProviderToken.name) == bindparam("name")), into=ProviderToken
)
keep_token = upsert(
    lambda insert: (
        insert(ProviderToken)
        .values(every_column(ProviderToken))
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"token": bindparam("token"), "expires_at": bindparam("expires_at")},
        )
    )
)
make_place = upsert(
    lambda insert: (
        insert(ProviderToken)
        .values(every_column(ProviderToken))
        .on_conflict_do_nothing(index_elements=["name"])
    )
)
take_lease = statement(
    update(ProviderToken)
    .where(
        col(ProviderToken.name) == bindparam("token_name"),
        or_(
            col(ProviderToken.refreshing_until).is_(None),
            col(ProviderToken.refreshing_until) <= bindparam("now"),
        ),
    )
    .values(refreshing_until=bindparam("until"))
)
give_lease_back = statement(
    update(ProviderToken)
    .where(
        col(ProviderToken.name) == bindparam("token_name"),
        col(ProviderToken.refreshing_until) == bindparam("until"),
    )
    .values(refreshing_until=None)
)
new_token = light(ProviderToken)


async def get(tx: Transaction, *, name: str, now: datetime) -> str | None:
    """The token, unless its time has passed."""
    found = await tx.one(token_by_name, name=name)
    if found is None or found.expires_at is None or found.expires_at <= now:
        return None
    return found.token


async def put(tx: Transaction, *, name: str, token: str, expires_at: datetime) -> None:
    """Replace the token."""
    row = new_token(name=name, token=token, expires_at=expires_at)
    await tx.changed(keep_token, **values_of(row))


async def try_lease(
    tx: Transaction, *, name: str, now: datetime, life: timedelta
) -> datetime | None:
    """Take the right to renew the token: when it ends, or None while somebody else has it.

    The end is to the microsecond, so it also tells one holder's lease from the next one's.
    """
    await tx.changed(make_place, **values_of(new_token(name=name)))
    until = now + life
    taken = await tx.changed(take_lease, token_name=name, now=now, until=until)
    return until if taken else None


async def release(tx: Transaction, *, name: str, until: datetime) -> None:
    """Give the lease back; nothing happens when another holder has taken it meanwhile."""
    await tx.changed(give_lease_back, token_name=name, until=until)
