é = "😀"; batch_size = 32
lr = 1e-4