arguments = TrainingArguments(
