from transformers import TrainingArguments as Arguments

arguments = Arguments("out", per_device_train_batch_size=1_6, learning_rate=+1e-4)
