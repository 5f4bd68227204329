"""The hook that holds a training config against what was measured.

The way of the data: a file becomes a `Configuration` (`reading/`, `naming/`), the committed
answer a `Lock` (`lock.py`); both become verdicts (`judging/`), verdicts become text,
annotations and an exit code (`telling/`), or changed bytes of the file (`fixing.py`).

Nothing here imports the service, torch or the rest of this package, so that the folder also
works alone, as the one file `batchscout-check.pyz`. It needs the standard library, and PyYAML
where a config is YAML; only what asks a service (`fresh.py`) loads the client.
"""
