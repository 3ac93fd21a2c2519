"""What finance and auditors read: balances, liabilities, statistics (FIN-2, PTS-8, TOP-10, TOP-11).

Value is added up from the ledger's entries by the time they were booked, coupons from the bills
that used them, between two midnights on the wall of the perspective's zone. Run these with
`Database.scan`: they read much and change nothing; only `downloads` writes.
"""
