"""What reports call things, for people: Chinese and English beside each other."""

from app.models.ledger import PostingKind
from app.models.payments import RefundRoute
from app.models.scopes import Channel
from app.models.top_ups import TopUpSource, TopUpState
from app.services.reports.gift_card_limits import GiftCardPurchaseKind
from app.services.reports.top_ups import Grouping

SCHEME = "卡方案 Scheme"
CURRENCY = "币种 Currency"
ACCOUNT = "账户 Account"
OPENING = "期初 Opening"
ADDED = "增加 Added"
TAKEN = "减少 Taken"
NET = "净变动 Net"
CLOSING = "期末 Closing"
KIND = "变动类型 Movement"
STORE = "门店 Store"
CARDS = "有余额卡数 Cards with a balance"
ON_CARDS = "卡上余额 On cards"
OWED = "欠款 Owed"
TOTAL = "合计 Total"
CARD_NUMBER = "卡号 Card number"
HOLDER = "持卡人 Holder"
AMOUNT = "金额 Amount"
YES, NO = "是 Yes", "否 No"
NONE = "无 None"

CASH, BONUS, HELD = "本金 Cash", "赠送金 Bonus", "预授权占用 Held"

POSTINGS = {
    PostingKind.EARN: "消费获得 Earned",
    PostingKind.EARN_REVERSAL: "退款扣回 Taken back",
    PostingKind.SPEND: "消费 Spent",
    PostingKind.SPEND_REVERSAL: "消费撤销 Spending returned",
    PostingKind.EXPIRE: "过期 Expired",
    PostingKind.ADJUST: "人工调整 Adjusted",
    PostingKind.TOP_UP: "充值 Topped up",
    PostingKind.TOP_UP_REFUND: "充值退款 Top-up refunded",
    PostingKind.AUTHORISE: "预授权 Authorised",
    PostingKind.CAPTURE: "预授权完成 Captured",
    PostingKind.CARD_REFUND: "退卡 Card refunded",
    PostingKind.DECAY: "衰减 Decayed",
    PostingKind.ROLL_BACK: "回滚 Rolled back",
    PostingKind.MERGE: "合并 Merged",
    PostingKind.MERGE_UNDO: "撤销合并 Merge undone",
    PostingKind.GIFT_CARD_ACTIVATE: "礼品卡激活 Gift card activated",
    PostingKind.GIFT_CARD_RECHARGE: "礼品卡充值 Gift card recharged",
    PostingKind.GIFT_CARD_SPEND: "礼品卡消费 Gift card spent",
    PostingKind.GIFT_CARD_SPEND_REVERSAL: "礼品卡消费撤销 Gift card spending returned",
    PostingKind.GIFT_CARD_REFUND: "礼品卡退款 Gift card refunded",
    PostingKind.GIFT_CARD_MOVE: "礼品卡转入 Moved from a gift card",
}
POINTS = {
    "issued": "发放 Issued",
    "taken_back": "扣回 Taken back",
    "spent": "使用 Spent",
    "returned": "返还 Returned",
    "expired": "过期 Expired",
    "decayed": "衰减 Decayed",
    "adjusted": "调整 Adjusted",
    "voided": "退卡作废 Voided",
    "rolled_back": "回滚 Rolled back",
    "merged": "合并 Merged",
}
SOURCES = {
    TopUpSource.PLAN: "方案 Plan",
    TopUpSource.SMART: "智能充值 Smart offer",
    TopUpSource.CODE: "充值码 Code",
    TopUpSource.BATCH: "批量 Batch",
}
STATES = {
    TopUpState.PENDING: "待支付 Pending",
    TopUpState.CREDITED: "已到账 Credited",
    TopUpState.CANCELLED: "已取消 Cancelled",
    TopUpState.REFUNDED: "已退款 Refunded",
}
ROUTES = {RefundRoute.ORIGINAL: "原路 Original", RefundRoute.OFFLINE: "线下 Offline"}
CHANNELS = {Channel.POS: "收银台 POS", Channel.ONLINE: "线上 Online"}
GROUPINGS = {
    Grouping.DAY: "日期 Day",
    Grouping.STORE: "门店 Store",
    Grouping.PLAN: "方案 Plan",
    Grouping.METHOD: "支付方式 Payment method",
}
LIMITS = {
    "registered_card_cap": "记名卡余额上限 Registered card cap",
    "unregistered_card_cap": "不记名卡余额上限 Unregistered card cap",
    "person_cap": "个人余额上限 Person cap",
    "order_max": "单笔上限 Most of one top-up",
    "day_max": "单日上限 Most of a day",
    "real_name_from": "实名起点 Real name from",
    "transfer_from": "转账起点 Transfer from",
    "company_transfer_from": "单位转账起点 Company transfer from",
}
PURCHASES = {
    GiftCardPurchaseKind.ORDER: "订单 Order",
    GiftCardPurchaseKind.TILL: "收银台售卡 Sold at a till",
    GiftCardPurchaseKind.RECHARGE: "充值 Recharge",
    GiftCardPurchaseKind.BULK: "单位批量 Company, in bulk",
}


def yes(is_so: bool) -> str:
    return YES if is_so else NO
