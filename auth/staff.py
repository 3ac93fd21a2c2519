"""How staff sign in: the two calls, with argon2 outside of any transaction (ORG-2)."""

from typing import NamedTuple

from app.services import staff, staff_sign_in
from app.services.staff_sign_in import Challenge, SignInRefused
from auth import sessions
from auth.passwords import password_is_right
from schema.context import Context


class SignedIn(NamedTuple):
    """A staff member and what they keep of their new session."""

    member: staff.StaffMember
    started: sessions.Started


async def start(context: Context, *, email: str, password: str, device: str) -> Challenge:
    """Judge e-mail and password; raises `SignInRefused`, `TooManyRequests`.

    The try was taken before, in a transaction of its own, so a wrong one is already counted.
    """
    account = await context.run(
        staff_sign_in.take_try,
        email=email,
        client_address=context.client_address,
        now=context.now,
    )
    if not await password_is_right(password, account.password_hash if account else None):
        raise SignInRefused
    assert account is not None
    return await context.run(
        staff_sign_in.password_was_right, staff_id=account.id, device=device, now=context.now
    )


async def confirm(context: Context, *, challenge: str, totp_code: str) -> SignedIn:
    """Judge the second factor and open the session; raises `SignInRefused`."""
    signed_in = await context.run(
        staff_sign_in.confirm,
        challenge=challenge,
        totp_code=totp_code,
        now=context.now,
        life=context.settings.staff_session_life,
    )
    started = await sessions.with_access_token(context, signed_in.refreshed)
    return SignedIn(signed_in.member, started)
