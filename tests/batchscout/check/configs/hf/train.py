"""Fine-tune the classifier of product photographs."""

from transformers import AutoModelForImageClassification, Trainer, TrainingArguments

LABELS = ["Schuhe", "Hüte", "Mäntel"]


def main():
    model = AutoModelForImageClassification.from_pretrained("base", num_labels=len(LABELS))
    arguments = TrainingArguments(
        output_dir="läufe/foto",  # the folder is mounted
        per_device_train_batch_size=64,  # fits the A10
        gradient_accumulation_steps=1,
        learning_rate=5e-5, num_train_epochs=10,
    )
    Trainer(model=model, args=arguments).train()


if __name__ == "__main__":
    main()
