"""Messages about the end of a job, after Standard Webhooks: signed, guarded, sent until there.

`outbox` takes what is due from the store, `message` and `signature` make what is sent,
`destination` and `address` decide whereto anything may be sent, and `sender` sends it.
"""
