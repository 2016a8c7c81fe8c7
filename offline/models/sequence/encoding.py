"""Vectors of many histories, in blocks of bounded memory."""

import numpy as np
import numpy.typing as npt
import torch

from offline.models.parallel import Workers
from offline.models.sequence.batches import Spans, lay_out
from offline.models.sequence.histories import Histories
from offline.models.sequence.network import Encoder

BLOCK_POSITIONS = 16_384
"""Positions encoded at a time by each thread."""


def encode(encoder: Encoder, vectors: torch.Tensor, histories: Histories, spans: Spans) -> npt.NDArray[np.float32]:
    """Encode what is seen of each history.

    Parameters
    ----------
    vectors : `(titles, dim)`, on the encoder's device.
    spans : one of each history.

    Returns
    -------
    `(spans, dim)`; all zero where a span is empty.
    """
    device = vectors.device
    encoded = np.zeros((len(spans.start), vectors.shape[1]), np.float32)
    filled = np.flatnonzero(spans.lengths > 0)
    order = filled[np.argsort(-spans.lengths[filled], kind="stable")]  # the longest first, alike together: no padding
    blocks = []
    first = 0
    while first < len(order):
        width = int(spans.lengths[order[first]]) + 1
        stop = first + max(1, BLOCK_POSITIONS // width)
        blocks.append((order[first:stop], width))
        first = stop

    def encode_block(block: tuple[npt.NDArray[np.int64], int]) -> None:
        members, width = block
        chosen = spans.take(members)
        batch = lay_out(histories, chosen, np.arange(len(members)), width, see_last=True).to(device)
        with torch.no_grad():
            hidden = encoder(batch, vectors)  # (block, width, dim)
            last = torch.from_numpy(chosen.lengths).to(device)
            encoded[members] = hidden[torch.arange(len(members), device=device), last].cpu().numpy()

    with Workers(device) as workers:
        workers.for_each(encode_block, blocks)
    return encoded
