import torch
from torch.utils.data import DataLoader

from shop import model, photos

loader = DataLoader(photos, batch_size=24, shuffle=True, num_workers=4)
optimizer = torch.optim.AdamW(model.parameters(), lr=8e-4, weight_decay=0.05)
