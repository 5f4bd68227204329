# Settings of a small character model; the launcher executes this file
dataset = "shakespeare"
batch_size = 12
block_size = 1024
gradient_accumulation_steps = 5 * 8
learning_rate = 6e-4
min_lr = 6e-5
eval_iters = 200
