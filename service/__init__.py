"""REST API, job store and controller: HTTP in, tuner events through, nothing measured here.

    API (stateless) -> SQL store <- controller -> executor

The API writes requests and reads what the controller wrote; the controller drives one
`Tuning` per job between the store and the executor. Neither ever imports torch. Read
`app.py` for the wiring of the first half and `controller.py` for the second.
"""
