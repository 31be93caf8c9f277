"""What every test shares: one thread, so that runs on shared machines stay quick and repeatable."""

import torch

torch.set_num_threads(1)
