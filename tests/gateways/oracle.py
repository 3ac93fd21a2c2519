"""`wechatpayv3`, the client library of others, as the oracle of what WeChat Pay wants and sends."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from wechatpayv3 import WeChatPay, WeChatPayType

from app.gateways.sandbox import SandboxState
from app.gateways.sandbox.accounts import made_up_key
from app.gateways.sandbox.wechat_pay_seal import PUBLIC_KEY_ID


def public_key() -> str:
    """WeChat Pay's, PEM, of the id PUBLIC_KEY_ID."""
    key = made_up_key("wechat-pay-public").public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def oracle(state: SandboxState) -> WeChatPay:
    """Pointed at the sandbox as at WeChat Pay's domain. It blocks, so call it in a thread."""
    account = state.wechat_pay_account
    made = WeChatPay(
        wechatpay_type=WeChatPayType.JSAPI,
        mchid=account.merchant_id,
        private_key=account.private_key,
        cert_serial_no=account.certificate_serial,
        appid=account.app_id,
        apiv3_key=account.api_v3_key,
        notify_url="https://regulars.example/notify",
        # With a key of its own it does not ask the real WeChat Pay for certificates when made.
        public_key=public_key(),
        public_key_id=PUBLIC_KEY_ID,
    )
    made._core._gate_way = f"{state.public_url}/wechat-pay"
    return made
