"""The demo: a believable group with its people, stores and history. Never in production.

`load.load_demo` fills an empty database; `world` says who and what is in it, `members` makes
members by the thousand or the million, `postgres` and `sqlite` write those as fast as each can,
`sandbox` tells the sandbox of outside providers whom one can be.
"""
