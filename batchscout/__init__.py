"""Measures which batch size and learning rate train a model fastest, and says how it knows.

This package is what a user installs: the commands, the HTTP client and the typed answer. The
client half (`client`, `answer`, `errors`) needs httpx and nothing else: neither torch nor
FastAPI nor pydantic, so that a CI runner or a notebook has it in seconds.

    from batchscout.client import Client

    with Client("http://127.0.0.1:8321") as service:
        answer = service.tune({"model": ..., "dataset": ..., "training": ...})
        print(answer.micro_batch_size, answer.learning_rate)
"""
