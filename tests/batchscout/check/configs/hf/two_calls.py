from transformers import TrainingArguments

warm = TrainingArguments("warm", per_device_train_batch_size=8, learning_rate=1e-3)
main = TrainingArguments("main", per_device_train_batch_size=32, learning_rate=3e-4)
