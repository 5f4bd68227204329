import os

from transformers import TrainingArguments

BATCH = int(os.environ.get("BATCH", 8))
SCALE = 4

arguments = TrainingArguments(
    "out",
    per_device_train_batch_size=BATCH,
    gradient_accumulation_steps=int(os.environ["ACCUMULATE"]),
    learning_rate=5e-5 * SCALE,
)
