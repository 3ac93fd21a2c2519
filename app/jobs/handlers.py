"""What workers do, by kind of job. A handler may run twice: what it does must bear that.

A handler speaks to the outside first. What it wants to change in the database it returns as an
effect, which is run in the transaction that marks the job done: once, whatever happens.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.gateways.outside import CODE_TEMPLATE
from app.jobs import imports, payments, points, tiers
from app.jobs.tasks import Effect, Handler, Task
from app.models.identities import CodeChannel
from app.services import files, verification_codes
from app.services.coupons import changes
from app.services.gift_cards import batches as gift_card_batches
from app.services.top_ups import batches

__all__ = ["HANDLERS", "Effect", "Handler", "Task"]

CODE_SUBJECT = "验证码 {code} · Your code is {code}"
CODE_TEXT = """\
您的验证码是 {code}，5 分钟内有效。请勿告诉任何人，我们的员工不会向您索取。
如非本人操作，请忽略此邮件。

Your verification code is {code}. It is valid for 5 minutes. Tell it to nobody: our staff will
never ask for it. If you did not request it, ignore this message.
"""


async def send_verification_code(task: Task) -> None:
    """Send a code; twice in the worst case, which only repeats the same code (IDN-7)."""
    payload = task.payload
    if task.now >= datetime.fromisoformat(payload["expires_at"]):
        return  # nobody can use it any more
    code = payload["code"]
    if payload["channel"] == CodeChannel.SMS:
        await task.outside.sms.send(
            payload["target"], CODE_TEMPLATE, {"code": code}, dedup_key=str(task.id)
        )
    else:
        subject, text = CODE_SUBJECT.format(code=code), CODE_TEXT.format(code=code)
        await task.outside.mail.send(payload["target"], subject, text)


async def work_on_top_up_batch(task: Task) -> Effect:
    """One row of a list, and on to the next (CRD-6)."""

    async def work(tx: Transaction) -> None:
        await batches.work_on(tx, batch_id=UUID(task.payload["batch_id"]), now=task.now)

    return work


async def work_on_gift_card_batch(task: Task) -> Effect:
    """Some cards of a bulk order, and on to the next (GFT-7)."""

    async def work(tx: Transaction) -> None:
        batch_id = UUID(task.payload["batch_id"])
        await gift_card_batches.work_on(tx, batch_id=batch_id, now=task.now)

    return work


async def change_coupons(task: Task) -> Effect:
    """One batch of coupons, and on to the next (CPN-5)."""

    async def work(tx: Transaction) -> None:
        await changes.work_on(tx, change_id=UUID(task.payload["change_id"]), now=task.now)

    return work


async def delete_file(task: Task) -> None:
    """The bytes of a file that was forgotten."""
    await task.outside.files.delete(task.payload["storage_key"])


HANDLERS: Mapping[str, Handler] = {
    batches.JOB: work_on_top_up_batch,
    changes.JOB: change_coupons,
    files.DELETE_JOB: delete_file,
    gift_card_batches.JOB: work_on_gift_card_batch,
    verification_codes.SEND_JOB: send_verification_code,
    **imports.HANDLERS,
    **payments.HANDLERS,
    **points.HANDLERS,
    **tiers.HANDLERS,
}
