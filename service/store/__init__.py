"""The SQL store: our tables are the only truth, and every transition is one transaction.

`jobs.py` is the half that the API uses, `ledger.py` the half of the controller; they share
`tables.py` and meet nowhere else. Written for SQLite in WAL mode and for PostgreSQL alike.
"""
