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
    "coupon_handovers": {"secret_hash": I},
    "coupons": {"code": E, "code_index": I},
    "gift_card_batch_cards": {"key": E},
    "gift_card_buyers": {
        "name": E,
        "phone": E,
        "email": E,
        "card_number": E,
        "receiver_phone": E,
        "greeting": E,
    },
    "gift_card_gifts": {"code_index": I, "greeting": E},
    "gift_cards": {"key": E, "key_index": I, "code_index": I},
    "fulfilments": {"pick_up_code": E, "pick_up_code_index": I, "recipient": E},
    "identities": {"value": E, "value_index": I},
    "import_parts": {"rows": E},
    "imports": {"file_name": E},
    "jobs": {"payload": E},
    "members": {
        "name": E,
        "name_index": I,
        "birthday": E,
        "gender": P,
        "region": P,
        "attributes": P,
    },
    "partner_clients": {"secret_hash": I, "previous_secret_hash": I},
    "provider_tokens": {"token": E},
    "rate_counts": {"subject": I},
    "real_names": {"name": E, "document_number": E, "document_index": I},
    "recharge_codes": {"code_index": I},
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
    "student_identities": {"identity_index": I},
    "student_verifications": {
        "identity": E,
        "identity_index": I,
        "student_name": E,
        "institution": P,
        "note": P,
    },
    "tickets": {"secret_hash": I, "personal": E},
    "verification_codes": {"target_index": I, "code_hash": I},
}

PLAIN: dict[str, str] = {
    "accounts": "id card_id gift_card_id kind unit balance debt is_closed",
    "adjustments": "id group_id card_id account_kind unit amount reason state proposed_by_id "
    "proposed_at decided_by_id decided_at",
    "agreement_acceptances": "id order_id member_id agreement_id version accepted_at",
    "agreement_versions": "id agreement_id version title body published_by_id published_at",
    "agreements": "id group_id perspective_id kind title version created_at changed_at",
    "attribute_definitions": "id group_id key name kind created_at",
    "audit_records": "id group_id node_id actor_kind actor_id action object_kind object_id details "
    "request_id recorded_at sequence previous_hash hash",
    "benefit_grants": "id group_id card_id benefit_id source source_id terms multiplies_points "
    "extended_days starts_at ends_at granted_at ended_at",
    "benefits": "id group_id perspective_id scope_id campaign_id kind state name brief description "
    "icon_file_id currency details restrictions multiplies_points version operator_kind "
    "operator_id created_at changed_at",
    "behaviour_rules": "id scheme_id event_key name points growth times_per_day times_per_month "
    "times_ever streak is_active",
    "card_refunds": "id group_id card_id payment_method_id currency paid_out voided_bonus "
    "voided_points reason refunded_by_id refunded_at",
    "campaigns": "id group_id perspective_id kind state name only_as_member_benefit version "
    "created_at changed_at",
    "cards": "id group_id member_id scheme_id tier_id serial number status merged_into_id "
    "has_absorbed issuing_store_id issued_at expires_at last_code_step pin_failures growth_amount "
    "growth_tier_id growth_tier_since growth_tier_expires_at",
    "code_scans": "id card_id step terminal_id scanned_at",
    "consents": "id member_id purpose version is_given decided_at",
    "coupon_change_lines": "id change_id coupon_id before after",
    "coupon_changes": "id group_id perspective_id template_id wanted change reason state "
    "number_of_coupons number_seen number_changed last_coupon_id new_terms operator_id created_at "
    "finished_at",
    "coupon_handovers": "id coupon_id giver_id state begun_at expires_at receiver_id ended_at",
    "coupon_pack_items": "id pack_id template_id position number",
    "coupon_pack_sales": "id group_id perspective_id pack_id scope_id state name cover_file_id "
    "currency price stock_left limit_per_member version created_at changed_at",
    "coupon_packs": "id group_id perspective_id state name title description version created_at "
    "changed_at",
    "coupon_templates": "id group_id perspective_id kind currency state name terms_id "
    "claim_scope_id validity stock_left limit_per_member handover version created_at changed_at",
    "coupon_terms": "id kind currency scope_id title subtitle colour image_file_id benefit "
    "minimum_spend items categories includes_sub_items includes_side_dishes fields instructions "
    "goods_link online_outside_id pos_outside_id",
    "coupon_uses": "id group_id coupon_id state channel store_id terminal_id actor_kind actor_id "
    "order_number outside_coupon_id bill_amount took_off currency begun_at locked_until used_at "
    "ended_at reason",
    "coupons": "id group_id template_id terms_id pack_id member_id issued_to_id state cause_kind "
    "cause_id position store_id issued_at valid_from valid_until remind_at locked_until "
    "returned_at ended_at",
    "entries": "id posting_id card_id gift_card_id account_id system_account unit amount "
    "balance_after",
    "event_earnings": "id event_id card_id event_key business_date outcome points streak_points "
    "growth",
    "files": "id group_id node_id kind state content_type bytes width height sha256 storage_key "
    "uploader_kind uploader_id created_at deleted_at",
    "gift_card_batch_cards": "id batch_id position gift_card_id",
    "gift_card_batches": "id group_id perspective_id product_id buyer_company buyer_registration "
    "invoice_number payment_method_id currency face amount number_of_cards number_made terms state "
    "operator_id created_at finished_at keys_exported_at keys_exported_by_id",
    "gift_card_buyers": "id order_id gift_card_id",
    "gift_card_exports": "id group_id perspective_id kind filters number_of_rows operator_kind "
    "operator_id exported_at",
    "gift_card_gifts": "id gift_card_id buyer_id state deliver_at expires_at claimed_by_id "
    "claimed_at ended_at",
    "gift_card_moves": "id group_id gift_card_id card_id currency cash bonus moved_at",
    "gift_card_payments": "id group_id gift_card_id terminal_id store_id order_number currency "
    "cash bonus state paid_at voided_at",
    "gift_card_products": "id group_id perspective_id scope_id kind state name currency designs "
    "denominations custom_amount buyer_name buyer_phone buyer_email buyer_card_number valid_days "
    "claim_days can_recharge can_move description agreement version created_at changed_at",
    "gift_card_recharges": "id group_id gift_card_id terminal_id store_id payment_method_id "
    "currency face cash recharged_at",
    "gift_cards": "id group_id product_id kind number code_expires_at state currency holder_id "
    "order_id store_id terminal_id payment_method_id scope_id terms design face cash created_at "
    "activated_at expires_at ended_at refunded_cash refund_method_id refund_reason",
    "fulfilments": "id group_id order_id perspective_id item_id member_id way state store_id "
    "carrier tracking_number created_at ready_at shipped_at ended_at",
    "group_rules": "id group_id currency registered_card_cap unregistered_card_cap person_cap "
    "order_max day_max real_name_from transfer_from company_transfer_from "
    "adjustment_approval_above points_approval_above changed_at",
    "identities": "id group_id member_id kind issuer proven_at is_proven",
    "import_parts": "id import_id position is_waiting number_failed",
    "imports": "id group_id perspective_id kind subject_id state number_of_rows number_landed "
    "number_repeated number_failed operator_id created_at finished_at",
    "institution_domains": "id group_id institution_id domain",
    "institutions": "id group_id name is_accepted version created_at",
    "jobs": "id kind unique_key run_at attempts lease_until owner done_at failed_at error",
    "lot_movements": "id posting_id lot_id amount",
    "lots": "id account_id origin_id moved_from_id amount remaining earned_at expires_at "
    "restriction",
    "mall_items": "id group_id perspective_id scope_id kind product_id product_count "
    "product_rule product_face can_be_picked_up can_be_shipped name description category position "
    "file_ids price_points price_amount currency stock_left limit_per_member is_listed version "
    "created_at changed_at",
    "member_events": "id group_id member_id event_key source external_id business_date streak_days "
    "store_id occurred_at",
    "member_tags": "id member_id tag_id tagged_at",
    "members": "id group_id status merged_into_id birthday_edits recruitment_store_id joined_at "
    "closed_at",
    "merges": "id survivor_id loser_id manifest merged_at undone_at undone_by_id",
    "nodes": "id kind group_id brand_id code name time_zone created_at",
    "notices": "id group_id member_id kind unique_key details created_at read_at",
    "orders": "id group_id perspective_id kind product_id title quantity member_id card_id "
    "channel store_id terminal_id payment_method_id currency amount points terms state created_at "
    "expires_at paid_at ended_at refund_route refunded_amount refund_method_id refund_reason",
    "owned_packages": "id group_id package_id member_id card_id order_id store_id name terms "
    "currency price price_reason is_first renews_id state bought_at starts_at ends_at remind_at "
    "ended_at",
    "package_settings": "id group_id validity_rule version changed_at",
    "packages": "id group_id perspective_id scope_id state name tag description cover_file_id "
    "icon_file_id currency rules contents purchase_agreement_id terms_agreement_id "
    "faq_agreement_id version created_at changed_at",
    "partner_clients": "id group_id client_id name previous_until scopes requests_per_minute "
    "is_active created_at",
    "partner_nodes": "id partner_client_id node_id",
    "payment_methods": "id group_id code name is_net_receipt can_pay_top_up moves_by_transfer "
    "provider",
    "payment_notifications": "id provider notification_id received_at",
    "payment_refunds": "id payment_id reference amount reason status refund_id requested_at "
    "ended_at",
    "payments": "id group_id reference provider purpose order_id amount currency status "
    "transaction_id created_at expires_at paid_at",
    "points_cases": "id group_id scheme_id member_id card_id business_date points threshold "
    "marked_at cleared_at cleared_by_id clearing_reason",
    "postings": "id group_id kind cause_kind cause_id reverses_id scheme_id gift_card_product_id "
    "store_id actor_kind actor_id occurred_at recorded_at",
    "provider_tokens": "id name expires_at refreshing_until",
    "purchase_lines": "id purchase_id position item_id name paid_amount counts_for_growth",
    "purchase_payments": "id purchase_id payment_method_id amount is_net_receipt",
    "purchase_refunds": "id purchase_id amount points_taken growth_taken reason refunded_at",
    "purchases": "id group_id card_id store_id terminal_id order_number currency total_amount "
    "tax_amount net_amount refunded_amount points_unit points_rate points_earned "
    "points_multiplier_bp points_taken_back growth_unit growth_rate growth_amount growth_earned "
    "growth_taken_back occurred_at recorded_at",
    "rate_counts": "id window_start count",
    "real_names": "id member_id document_kind recorded_by_id recorded_at",
    "recharge_code_batches": "id plan_id step currency amount bonus points terms scope_id scenario "
    "number_of_codes number_redeemed expires_at revoked_at created_at",
    "recharge_codes": "id batch_id redeemed_at order_id",
    "refresh_tokens": "id session_id issued_at used_at",
    "request_records": "id principal_id operation request_key fingerprint answer_id recorded_at",
    "role_grants": "id staff_id role_id node_id granted_at",
    "roles": "id group_id name permissions is_built_in",
    "routines": "id name subject_id next_due_at last_due_at",
    "scheme_stores": "id scheme_id store_id",
    "schemes": "id group_id perspective_id name currency deduction_rule consumption_verification "
    "points_unit points_rate valid_days is_open_to_join covers_all_stores created_at "
    "opening_pack_id opening_package_id "
    "points_expiry points_expiry_count points_worth_points points_worth_amount "
    "points_pay_share_bp points_pay_amount_max points_pay_points_min points_cost_per_thousand "
    "decay_after_months decay_bp abnormal_above abnormal_blocks_earning abnormal_blocks_spending "
    "abnormal_mail_to tiers_are_computed tiers_version growth_unit growth_rate growth_only "
    "growth_except on_growth_change recalculation_months recalculation_day tier_validity "
    "tier_validity_months after_tier_expiry",
    "scope_audiences": "id scope_id scheme_id tier_id tag_id",
    "scope_places": "id scope_id node_id store_group_id is_excluded",
    "scopes": "id group_id perspective_id on_pos on_online schedule for_students",
    "sessions": "id group_id principal_kind principal_id method started_at refreshed_at expires_at "
    "revoked_at revoked_because",
    "signing_keys": "id kid active_from retired_at",
    "spending_parts": "id spending_id lot_id account_kind position taken returned",
    "spending_refunds": "id spending_id amount cash bonus points reason refunded_at",
    "spendings": "id group_id card_id kind state store_id terminal_id order_number currency amount "
    "cash bonus points returned_amount returned_cash returned_bonus returned_points posting_id "
    "made_at expires_at ended_at",
    "staff": "id group_id last_totp_step failures locked_until is_active created_at",
    "store_group_stores": "id store_group_id store_id",
    "store_groups": "id perspective_id name created_at",
    "student_id_settings": "id group_id node_id is_open methods validity_months page_title "
    "page_text cover_file_id user_group_name tag_id gift_rule gifts reminder_days "
    "submissions_a_day version changed_at",
    "student_identities": "id group_id member_id",
    "student_verifications": "id group_id node_id member_id method state card_file_id "
    "verifier_event answer_until submitted_at approved_at valid_until ended_at decided_by_id "
    "reason is_renewal gifted_at remind_at reminder_days tag_id member_tag_id",
    "tags": "id group_id name created_at",
    "terminals": "id store_id name is_active created_at",
    "tickets": "id purpose payload expires_at tries",
    "tier_changes": "id card_id from_tier_id to_tier_id cause cause_id changed_at",
    "tier_grants": "id card_id tier_id source source_id granted_at expires_at ended_at",
    "tier_runs": "id scheme_id cause state number_of_cards number_done number_changed "
    "after_card_id started_at finished_at",
    "tier_tasks": "id tier_id kind event_key at_least window_months",
    "tiers": "id scheme_id level name growth_from condition window_months",
    "top_up_batch_rows": "id batch_id position card_number amount bonus points state problem "
    "order_id",
    "top_up_batches": "id group_id perspective_id payment_method_id currency reason state "
    "number_of_rows number_credited number_failed operator_id created_at finished_at",
    "top_up_orders": "id group_id card_id member_id plan_id step source source_id channel store_id "
    "terminal_id payment_method_id currency amount bonus points terms is_first state holds_stock "
    "created_at expires_at credited_at ended_at refund_route refund_method_id refund_reason",
    "top_up_plans": "id group_id perspective_id scope_id kind state name currency steps is_visible "
    "first_only first_bonus_bp first_points_bp gifts first_gifts benefit_ids benefit_days "
    "granted_tier_id granted_months stock_left "
    "limit_per_member spending_items spending_node_ids same_day_share_bp bonus_on_the_day "
    "bonus_valid_days trigger_amount rounding agreement description cover_url version created_at "
    "changed_at",
    "top_up_quotes": "id plan_id card_id channel store_id bill_amount shortage currency offers "
    "holds_stock made_at expires_at ended_at",
    "verification_codes": "id group_id channel purpose tries sent_at expires_at used_at",
}
