"""Dynamic time warping: assign each frame to a token, both in order."""

import torch


@torch.no_grad()
def warp(frames: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The monotonic alignment with the least cosine distance between frames and their tokens, summed over frames.

    Every frame belongs to one token and every token has a frame, in order (dynamic time warping in which no frame has two
    tokens: the alignment of ACIF). If there are fewer frames than tokens, neighbouring tokens share a frame.

    Arguments
    ---------
    frames, tokens : torch.Tensor
        (T, D) and (U, D).

    Returns
    -------
    torch.Tensor
        (U, T) of bool: whether a frame belongs to a token.
    """
    num_frames, num_tokens = len(frames), len(tokens)
    index = torch.arange(num_tokens)
    if num_frames < num_tokens:
        shared = index * num_frames // num_tokens
        return (shared[:, None] == torch.arange(num_frames)[None]).to(frames.device)
    normed = (
        torch.nn.functional.normalize(frames.float(), dim=-1),
        torch.nn.functional.normalize(tokens.float(), dim=-1),
    )
    cost = (1 - normed[0] @ normed[1].T).cpu()
    best = torch.full((num_tokens,), torch.inf)
    best[0] = cost[0, 0]
    moved = torch.zeros(num_frames, num_tokens, dtype=torch.bool)  # whether a frame is the first of its token
    for time in range(1, num_frames):
        before = torch.cat((best.new_full((1,), torch.inf), best[:-1]))
        moved[time] = before < best
        best = torch.minimum(best, before) + cost[time]
    owner, token = [], num_tokens - 1
    for time in reversed(range(num_frames)):
        owner.append(token)
        token -= int(moved[time, token])
    return (index[:, None] == torch.tensor(owner[::-1])[None]).to(frames.device)
