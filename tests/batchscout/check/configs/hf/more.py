from transformers import TrainingArguments

shared = {"gradient_accumulation_steps": 4, "bf16": True}
arguments = TrainingArguments("out", per_device_train_batch_size=16, **shared)
