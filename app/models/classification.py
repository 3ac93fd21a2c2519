"""What each column says about a person (SEC-1). A test fails on a column that is not here.

- ENCRYPTED: names, ways to reach somebody, secrets. The column's type is `Personal`.
- INDEXED: a keyed or one-way hash of such a value, to find or check it by.
- PERSONAL: about a person, of no use alone to find out who it is. Emptied when an account closes.
- PLAIN: not about a person, or only by an id of ours.
"""

from enum import StrEnum


class Sensitivity(StrEnum):
    ENCRYPTED = "ENCRYPTED"
    INDEXED = "INDEXED"
    PERSONAL = "PERSONAL"
    PLAIN = "PLAIN"


E, I, P = Sensitivity.ENCRYPTED, Sensitivity.INDEXED, Sensitivity.PERSONAL  # noqa: E741

SENSITIVE: dict[str, dict[str, Sensitivity]] = {
    "cards": {"pin_hash": I},
    "identities": {"value": E, "value_index": I},
    "jobs": {"payload": E},
    "members": {"name": E, "birthday": E, "gender": P, "region": P, "attributes": P},
    "partner_clients": {"secret_hash": I, "previous_secret_hash": I},
    "provider_tokens": {"token": E},
    "rate_counts": {"subject": I},
    "refresh_tokens": {"token_hash": I},
    "sessions": {"device": P},
    "signing_keys": {"private_jwk": E},
    "staff": {
        "name": E,
        "email": E,
        "email_index": I,
        "password_hash": I,
        "totp_secret": E,
    },
    "tickets": {"secret_hash": I, "personal": E},
    "verification_codes": {"target_index": I, "code_hash": I},
}

PLAIN: dict[str, str] = {
    "accounts": "id card_id kind unit balance debt is_closed",
    "attribute_definitions": "id group_id key name kind created_at",
    "audit_records": "id group_id node_id actor_kind actor_id action object_kind object_id details "
    "request_id recorded_at sequence previous_hash hash",
    "cards": "id group_id member_id scheme_id tier_id serial number status merged_into_id "
    "has_absorbed issuing_store_id issued_at expires_at last_code_step pin_failures",
    "code_scans": "id card_id step terminal_id scanned_at",
    "consents": "id member_id purpose version is_given decided_at",
    "entries": "id posting_id card_id account_id system_account unit amount balance_after",
    "identities": "id group_id member_id kind issuer proven_at",
    "jobs": "id kind unique_key run_at attempts lease_until owner done_at failed_at error",
    "lot_movements": "id posting_id lot_id amount",
    "lots": "id account_id origin_id moved_from_id amount remaining earned_at expires_at "
    "restriction",
    "members": "id group_id status merged_into_id birthday_edits recruitment_store_id joined_at "
    "closed_at",
    "merges": "id survivor_id loser_id manifest merged_at undone_at undone_by_id",
    "nodes": "id kind group_id brand_id code name time_zone created_at",
    "partner_clients": "id group_id client_id name previous_until scopes requests_per_minute "
    "is_active created_at",
    "partner_nodes": "id partner_client_id node_id",
    "payment_methods": "id group_id code name is_net_receipt",
    "postings": "id group_id kind cause_kind cause_id reverses_id scheme_id store_id actor_kind "
    "actor_id occurred_at recorded_at",
    "provider_tokens": "id name expires_at refreshing_until",
    "purchase_payments": "id purchase_id payment_method_id amount is_net_receipt",
    "purchase_refunds": "id purchase_id amount points_taken reason refunded_at",
    "purchases": "id group_id card_id store_id terminal_id order_number currency total_amount "
    "tax_amount net_amount refunded_amount points_unit points_rate points_earned "
    "points_taken_back occurred_at recorded_at",
    "rate_counts": "id window_start count",
    "refresh_tokens": "id session_id issued_at used_at",
    "request_records": "id principal_id operation request_key fingerprint answer_id recorded_at",
    "role_grants": "id staff_id role_id node_id granted_at",
    "roles": "id group_id name permissions is_built_in",
    "scheme_stores": "id scheme_id store_id",
    "schemes": "id group_id perspective_id name currency deduction_rule consumption_verification "
    "points_unit points_rate valid_days is_open_to_join covers_all_stores created_at",
    "sessions": "id group_id principal_kind principal_id method started_at refreshed_at "
    "expires_at revoked_at revoked_because",
    "signing_keys": "id kid active_from retired_at",
    "staff": "id group_id last_totp_step failures locked_until is_active created_at",
    "store_group_stores": "id store_group_id store_id",
    "store_groups": "id perspective_id name created_at",
    "terminals": "id store_id name is_active created_at",
    "tickets": "id purpose payload expires_at tries",
    "tiers": "id scheme_id level name growth_from",
    "verification_codes": "id group_id channel purpose tries sent_at expires_at used_at",
}
