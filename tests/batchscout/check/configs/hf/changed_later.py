from transformers import TrainingArguments

arguments = TrainingArguments("out", per_device_train_batch_size=8, learning_rate=1e-3)
arguments.learning_rate = 3e-4
