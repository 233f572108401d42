"""What the scripts that measure PyTorch share: the dense masks of published experiments."""
import torch


def mask_and_positions(documents, mask, dtype):
    """documents: [B, T], each token's document; mask: "doc" or "regular". [B, 1, T, T], 0 where a query sees a key and the
    lowest number of dtype elsewhere; [B, T] positions, which restart at every document under "doc"."""
    t = torch.arange(documents.shape[1], device=documents.device)
    sees = (t[:, None] >= t)[None].expand(len(documents), -1, -1)
    positions = t.expand(len(documents), -1)
    if mask == "doc":
        sees = sees & (documents[:, :, None] == documents[:, None, :])
        starts = torch.ones_like(documents, dtype=torch.bool)
        starts[:, 1:] = documents[:, 1:] != documents[:, :-1]
        positions = t - torch.where(starts, t, 0).cummax(1).values
    return torch.where(sees, 0.0, torch.finfo(dtype).min).to(dtype)[:, None], positions
