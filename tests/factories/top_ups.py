"""Members who top up: at the till, and online through real adapters that speak to the sandbox."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import uvicorn
from pydantic import SecretStr
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id
from app.gateways.http import create_http
from app.gateways.outside import Outside
from app.gateways.sandbox import (
    Directory,
    SandboxPayAccount,
    SandboxState,
    StripeAccount,
    create_sandbox,
)
from app.jobs.outside import DatabaseTokens, open_outside
from app.jobs.worker import Worker
from app.main import create_app
from app.models.identities import IdentityKind
from app.models.ledger import AccountKind
from app.models.operations import Job
from app.models.payments import Payment, PaymentRefund
from app.models.top_ups import TopUpOrder, TopUpPlan
from app.services import identities, ledger, members
from app.services.identities import Proof
from app.services.top_ups.plans.selling import stock_of
from app.settings import SandboxPaySettings, Settings, StripeSettings, WeChatPaySettings
from schema.context import Context, Principal
from tests.factories.cards import SETTINGS, Counter, counter
from tests.factories.ledger import account
from tests.factories.reading import every, one

TOP_UP = """fragment topUp on TopUp { id state source channel isFirst planName
  amount { amount currency } bonus { amount } points createdAt expiresAt creditedAt endedAt
  refundRoute refundReason store { name } method { code } refundMethod { code }
  payment { provider reference status refundStatus } }"""
PROBLEMS = """... on Problem { message } ... on CardNotUsable { status }
  ... on CardCapReached { room { amount } } ... on WrongCurrency { expected }"""
ORDER = f"""mutation ($input: TopUpOrderInput!) {{ topUpOrder(input: $input) {{ __typename
  ... on TopUpOrdered {{ replayed order {{ ...topUp }}
    payment {{ reference provider scene expiresAt parameters {{ name value }} }} }}
  ... on PaymentUnavailable {{ provider mayWorkLater }} ... on MethodCannotTopUp {{ methodCode }}
  {PROBLEMS} }} }} {TOP_UP}"""
SELL = f"""mutation ($input: TopUpSellInput!) {{ topUpSell(input: $input) {{ __typename
  ... on TopUpSold {{ replayed order {{ ...topUp }} }}
  ... on MethodCannotTopUp {{ methodCode }} ... on PaymentMethodUnknown {{ code }}
  ... on AmountOutsideRange {{ amountFrom {{ amount }} amountTo {{ amount }} }}
  ... on TransferNeeded {{ limit {{ amount }} }}
  {PROBLEMS} }} }} {TOP_UP}"""
CANCEL = f"""mutation ($id: ID!) {{ topUpCancel(input: {{id: $id}}) {{ __typename
  ... on TopUp {{ ...topUp }} ... on TopUpNotOpen {{ state }} ... on Problem {{ message }} }} }}
  {TOP_UP}"""
REFUND = f"""mutation ($input: TopUpRefundInput!) {{ topUpRefund(input: $input) {{ __typename
  ... on TopUpRefunded {{ replayed order {{ ...topUp }} }}
  ... on TopUpNotRefundable {{ state }} ... on NotEnoughValue {{ kind shortBy }}
  ... on PaymentMethodUnknown {{ code }} ... on Problem {{ message }} }} }} {TOP_UP}"""
ONE = f"query ($id: ID!) {{ topUp(id: $id) {{ ...topUp }} }} {TOP_UP}"

VALUE = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
ADDRESS = "203.0.113.7"

_open_jobs = statement(
    select(Job).where(col(Job.done_at).is_(None)).order_by(col(Job.run_at)), into=Job
)
_orders = statement(select(TopUpOrder).order_by(col(TopUpOrder.id)), into=TopUpOrder)
_plans = statement(select(TopUpPlan).order_by(col(TopUpPlan.id)), into=TopUpPlan)
_payments = statement(select(Payment).order_by(col(Payment.id)), into=Payment)
_refunds = statement(select(PaymentRefund).order_by(col(PaymentRefund.id)), into=PaymentRefund)


def a_sale(counter: Counter, plan: Any, amount: int = 100_00, /, **more: Any) -> dict[str, Any]:
    """What a till asks: the plan's first step, paid in cash."""
    asked: dict[str, Any] = {
        "terminalId": counter.terminal_id,
        "cardId": counter.card_id,
        "planId": plan["id"],
        "step": 0,
        "amount": {"amount": amount, "currency": "CNY"},
        "methodCode": "cash",
        "requestKey": new_id().hex,
    }
    return asked | more


async def sell(counter: Counter, plan: Any, amount: int = 100_00, /, **more: Any) -> Any:
    """Sell a top-up at the till; what the mutation answers."""
    return await counter.as_staff(SELL, input=a_sale(counter, plan, amount, **more))


async def sold(counter: Counter, plan: Any, amount: int = 100_00, /, **more: Any) -> Any:
    """A top-up that was sold at the till."""
    answer = await sell(counter, plan, amount, **more)
    assert answer["__typename"] == "TopUpSold", answer
    return answer["order"]


async def refund(counter: Counter, order_id: str, /, route: str = "ORIGINAL", **more: Any) -> Any:
    """Give a top-up back; what the mutation answers."""
    asked: dict[str, Any] = {
        "id": order_id,
        "route": route,
        "reason": "Changed their mind",
        "requestKey": new_id().hex,
    }
    if route == "OFFLINE":
        asked["methodCode"] = "cash"
    return await counter.as_staff(REFUND, input=asked | more)


async def held(counter: Counter) -> tuple[int, int, int]:
    """Cash, bonus and points of the card; what is owed counts as less than nothing."""
    found = [await account(counter.database, counter.shop.card.id, kind) for kind in VALUE]
    cash, bonus, points = (each.balance - each.debt for each in found)
    return cash, bonus, points


async def stock_left(counter: Counter, plan: Any) -> int | None:
    """How many of the plan can still be sold."""
    return await one(counter.database, stock_of, plan_id=parse_type_id("plan", plan["id"]))


async def is_clean(database: Database) -> bool:
    """Whether the books are right."""
    return await database.scan(ledger.check) == []


@dataclass
class Ahead:
    """The product's time: the real one, which the providers go by, and what a test lets pass."""

    ahead: timedelta = timedelta()

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.ahead += timedelta(**duration)


@dataclass(frozen=True, kw_only=True)
class Checkout(Counter):
    """A counter whose members pay online, at providers that answer over HTTP."""

    settings: Settings
    outside: Outside
    state: SandboxState
    clock: Ahead
    worker: Worker
    http: httpx2.AsyncClient

    def context(self, principal: Principal | None) -> Context:
        made = super().context(principal)
        return replace(made, settings=self.settings, outside=self.outside, now=self.clock.now)

    async def order(self, plan: Any, amount: int = 100_00, /, **more: Any) -> Any:
        """Order a top-up in WeChat, unless told otherwise; what the mutation answers."""
        asked: dict[str, Any] = {
            "cardId": self.card_id,
            "planId": plan["id"],
            "step": 0,
            "amount": {"amount": amount, "currency": "CNY"},
            "provider": "wechat_pay",
            "scene": "JSAPI",
            "returnUrl": "/topups",
            "requestKey": new_id().hex,
        }
        return await self.as_member(ORDER, input=asked | more)

    async def ordered(self, plan: Any, amount: int = 100_00, /, **more: Any) -> Any:
        """A top-up that waits to be paid: what the mutation answers, and it is no refusal."""
        answer = await self.order(plan, amount, **more)
        assert answer["__typename"] == "TopUpOrdered", answer
        return answer

    async def pay(self, ordered: Any, /, **how: Any) -> Any:
        """Pay at the provider, which then notifies us: {notify, times, forge}; its answer."""
        payment = ordered["order"]["payment"]
        return await self.sandbox(
            f"/payments/{payment['reference']}/pay", {"provider": payment["provider"], **how}
        )

    async def settle(self, ordered: Any, /, **how: Any) -> Any:
        """End a refund that waits at the provider, which then notifies us."""
        (refund,) = await self.refunds_of(ordered)
        return await self.sandbox(f"/refunds/{refund.reference}/settle", how)

    async def refunds_of(self, ordered: Any) -> list[PaymentRefund]:
        order_id = parse_type_id("top", ordered["order"]["id"])
        (payment,) = [p for p in await every(self.database, _payments) if p.order_id == order_id]
        found = await every(self.database, _refunds)
        return [refund for refund in found if refund.payment_id == payment.id]

    async def sandbox(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self.http.post(f"{self.state.public_url}{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def paid(self, plan: Any, amount: int = 100_00, /, **more: Any) -> Any:
        """A top-up that was ordered, paid and told of."""
        ordered = await self.ordered(plan, amount, **more)
        assert (await self.pay(ordered))["status"] == "PAID"
        return ordered

    async def look(self, ordered: Any) -> Any:
        """The top-up as its member sees it now."""
        return await self.as_member(ONE, id=ordered["order"]["id"])

    async def pass_time(self, **duration: float) -> None:
        """Let time pass, and the jobs do what came due meanwhile."""
        self.clock.advance(**duration)
        await self.worker.drain()

    async def until_it_went_back(self) -> None:
        """Have money sent back, and ask for what the provider did not tell of it in time."""
        await self.worker.drain()
        await self.pass_time(minutes=2)

    async def open_jobs(self) -> list[Job]:
        return await every(self.database, _open_jobs)

    def sent_back(self, ordered: Any) -> int:
        """What the provider says that went back of a payment."""
        payment = ordered["order"]["payment"]
        found = self.state.payments.payment(payment["provider"], payment["reference"])
        return 0 if found is None else self.state.payments.refunded(found)


async def with_openid(tx: Transaction, till: Counter, app_id: str, now: datetime) -> None:
    """The member signed in by the app that WeChat Pay is set up with."""
    member = await members.living(tx, till.shop.member.id)
    proof = Proof(IdentityKind.WECHAT_OPENID, f"o{new_id().hex}", app_id)
    await identities.bind(tx, member=member, proof=proof, now=now)


@asynccontextmanager
async def a_checkout(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    """The sandbox of providers and the whole application, each on a port of its own."""
    ours, theirs = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    public_url, sandbox_url = (f"http://127.0.0.1:{s.getsockname()[1]}" for s in (ours, theirs))
    state = SandboxState(
        public_url=sandbox_url,
        people=Directory(),
        stripe=StripeAccount(
            secret_key="sk_test_1",
            webhook_secret="whsec_1",
            webhook_url=f"{public_url}/payments/stripe/notify",
        ),
        pay=SandboxPayAccount("pay-secret"),
    )
    clock = Ahead()
    till = await counter(database, clock.now)
    settings = _settings(state, public_url, till).model_copy(update={"database_url": database_url})
    await database.run(with_openid, till, settings.wechat_pay.app_id, clock.now)
    async with (
        _served(create_sandbox(state, production=False), theirs, "off"),
        _served(create_app(settings), ours, "on"),
        open_outside(settings, DatabaseTokens(database, clock)) as outside,
        create_http(timeout_s=10) as http,
    ):
        yield Checkout(
            database=database,
            shop=till.shop,
            signer=till.signer,
            now=till.now,
            settings=settings,
            outside=outside,
            state=state,
            clock=clock,
            worker=Worker(database, outside, clock=clock),
            http=http,
        )


def _settings(state: SandboxState, public_url: str, till: Counter) -> Settings:
    account = state.wechat_pay_account
    return SETTINGS.model_copy(
        update={
            "public_url": public_url,
            "group_code": till.shop.places.group.code,
            "wechat_pay": WeChatPaySettings(
                base_url=f"{state.public_url}/wechat-pay",
                app_id=account.app_id,
                merchant_id=account.merchant_id,
                certificate_serial=account.certificate_serial,
                private_key=SecretStr(account.private_key),
                api_v3_key=SecretStr(account.api_v3_key),
            ),
            "stripe": StripeSettings(
                base_url=f"{state.public_url}/stripe",
                secret_key=SecretStr(state.stripe.secret_key),
                webhook_secret=SecretStr(state.stripe.webhook_secret),
            ),
            "sandbox_pay": SandboxPaySettings(
                base_url=f"{state.public_url}/pay", secret=SecretStr(state.pay.secret)
            ),
        }
    )


@asynccontextmanager
async def _served(app: Any, listener: socket.socket, lifespan: Any) -> AsyncIterator[None]:
    """Both halves of uvicorn's `serve`, without its signal handlers."""
    config = uvicorn.Config(app, log_config=None, lifespan=lifespan, ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    assert not server.should_exit, "the server did not start"
    yield
    await server.shutdown(sockets=[listener])
