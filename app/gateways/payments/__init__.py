"""Payments by other people's money: WeChat Pay, Stripe, and the sandbox's own page, behind one
protocol (`protocol.py`). The adapters know amounts and references, never members or top-ups.
"""
