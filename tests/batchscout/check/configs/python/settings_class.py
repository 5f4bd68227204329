class Train:
    batch_size: int = 48
    lr: float = 3e-4
    epochs: int = 90


class Eval:
    batch_size: int = 256
