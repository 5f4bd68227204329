"""What is decided, and why: one module a stage, each a pure function of what was measured.

The data run one way, through eight stages. A stage reads the `Job` (the spec, the findings of
the stages before it, and what came back for its own requests) and offers two functions:

    finding(job)   what has been learned, or None while something is still to be measured
    wants(job)     what to measure next

`finding` is cheap and is asked after every event; `wants` may think (it asks Optuna) and is
asked only when a device is free. Neither has a clock, a thread, a file or a random source
that does not come from the job's seed.
"""
