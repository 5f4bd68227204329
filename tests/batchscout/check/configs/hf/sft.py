import trl

config = trl.SFTConfig(
    "out",
    per_device_train_batch_size=2,
    max_length=2_048,
    packing=True,
)
