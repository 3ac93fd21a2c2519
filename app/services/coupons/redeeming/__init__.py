"""Coupons at a till, and online through partners: checked, locked, used, given back (CPN-3, CPN-4).

`judging` finds a coupon by its code and says what stands in the way of its use, `using` locks and
uses it once, `returning` lets it go again.
"""
