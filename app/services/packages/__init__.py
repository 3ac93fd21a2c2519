"""Paid packages: what is sold, and what members own of it (BEN-5…BEN-9)."""
