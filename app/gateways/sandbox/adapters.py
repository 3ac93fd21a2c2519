"""The adapters' configuration that goes with a sandbox: the demo and the tests need no files."""

from app.gateways.payments.sandbox_pay import SandboxPayConfig
from app.gateways.payments.stripe import StripeConfig
from app.gateways.payments.wechat_pay_keys import WeChatPayConfig
from app.gateways.sandbox.state import SandboxState


def wechat_pay_config(state: SandboxState, *, notify_url: str) -> WeChatPayConfig:
    account = state.wechat_pay_account
    return WeChatPayConfig(
        app_id=account.app_id,
        merchant_id=account.merchant_id,
        certificate_serial=account.certificate_serial,
        private_key=account.private_key,
        api_v3_key=account.api_v3_key,
        notify_url=notify_url,
        base_url=f"{state.public_url}/wechat-pay",
    )


def stripe_config(state: SandboxState) -> StripeConfig:
    """Where its events go is said by the state's account, as at Stripe."""
    return StripeConfig(
        secret_key=state.stripe.secret_key,
        webhook_secret=state.stripe.webhook_secret,
        base_url=f"{state.public_url}/stripe",
    )


def sandbox_pay_config(state: SandboxState, *, notify_url: str) -> SandboxPayConfig:
    return SandboxPayConfig(
        base_url=f"{state.public_url}/pay", secret=state.pay.secret, notify_url=notify_url
    )
