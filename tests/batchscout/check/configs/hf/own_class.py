from dataclasses import dataclass

import transformers


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    optim: str = "adamw_torch"
    learning_rate: float = 2e-4


arguments = TrainingArguments("out", per_device_train_batch_size=4)
