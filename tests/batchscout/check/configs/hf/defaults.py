from transformers import Seq2SeqTrainingArguments

arguments = Seq2SeqTrainingArguments(output_dir="out", predict_with_generate=True, bf16=True)
