"""Answers to the exercises of lesson 10, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong mean_pool_heads: heads that lie num_kv_heads apart
# says: heads that lie num_kv_heads apart are pooled
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_heads // num_kv_heads, num_kv_heads, -1))
    return heads.mean(0).flatten(0, 1)

# %% wrong mean_pool_heads: a sum
# says: heads are added up
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.sum(1).flatten(0, 1)

# %% wrong mean_pool_heads: channels before heads
# says: channels come before heads
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (-1, num_heads)).transpose(0, 1)
    pooled = heads.unflatten(0, (num_kv_heads, -1)).mean(1)
    return pooled.flatten(0, 1)

# %% wrong mean_pool_heads: rows that follow each other
# says: rows that follow each other are averaged
def mean_pool_heads(weight, num_heads, num_kv_heads):
    q_per_kv = num_heads // num_kv_heads
    return weight.reshape(-1, q_per_kv, weight.shape[1]).mean(1)

# %% wrong mean_pool_heads: the first head
# says: the first head of each set is kept
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads[:, 0].flatten(0, 1)

# %% wrong mean_pool_heads: the last head
# says: the last head of each set is kept
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads[:, -1].flatten(0, 1)

# %% wrong mean_pool_heads: repeated for each query head
# says: the mean is repeated
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.mean(1, keepdim=True).expand_as(heads).flatten(0, 2)

# %% wrong mean_pool_heads: num_kv_heads heads become one
# says: num_kv_heads is taken for the number of heads that become one
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_heads // num_kv_heads, num_kv_heads, -1))
    return heads.mean(1).flatten(0, 1)

# %% wrong mean_pool_heads: length kept up for unrelated heads
# says: divided by the square root
def mean_pool_heads(weight, num_heads, num_kv_heads):
    q_per_kv = num_heads // num_kv_heads
    heads = weight.unflatten(0, (num_kv_heads, q_per_kv, -1))
    return heads.sum(1).flatten(0, 1) / q_per_kv**0.5

# %% wrong mean_pool_heads: median
# says: the median is taken
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.median(1).values.flatten(0, 1)

# %% wrong mean_pool_heads: one mean of all
# says: all heads are averaged
def mean_pool_heads(weight, num_heads, num_kv_heads):
    mean = weight.unflatten(0, (num_heads, -1)).mean(0)
    return mean.repeat(num_kv_heads, 1)

# %% wrong mean_pool_heads: channels of a head are averaged
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_heads, -1))
    return heads.mean(1)[:num_kv_heads]

# %% wrong mean_pool_heads: the inputs are averaged
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.mean(-1).flatten(0, 1)

# %% wrong mean_pool_heads: keeps the heads apart
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.mean(1)

# %% wrong mean_pool_heads: transposed, as a matrix that x is multiplied by
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.mean(1).flatten(0, 1).T

# %% wrong mean_pool_heads: heads of 64
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.view(num_kv_heads, num_heads // num_kv_heads, 64, -1)
    return heads.mean(1).flatten(0, 1)

# %% wrong mean_pool_heads: square weights only
def mean_pool_heads(weight, num_heads, num_kv_heads):
    head_dim = weight.shape[1] // num_heads
    heads = weight.reshape(num_kv_heads, -1, head_dim, weight.shape[1])
    return heads.mean(1).flatten(0, 1)

# %% wrong mean_pool_heads: pairs always
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return ((heads[:, 0] + heads[:, -1]) / 2).flatten(0, 1)

# %% wrong mean_pool_heads: in float32 whatever comes
def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.float().unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.mean(1).flatten(0, 1)

# %% wrong mean_pool_heads: adds up in place
# says: changed its argument
def mean_pool_heads(weight, num_heads, num_kv_heads):
    q_per_kv = num_heads // num_kv_heads
    heads = weight.view(num_kv_heads, q_per_kv, -1, weight.shape[1])
    for head in range(1, q_per_kv):
        heads[:, 0] += heads[:, head]
    return heads[:, 0].flatten(0, 1) / q_per_kv

# %% right mean_pool_heads: head by head
import torch

def mean_pool_heads(weight, num_heads, num_kv_heads):
    head_dim = weight.shape[0] // num_heads
    q_per_kv = num_heads // num_kv_heads
    heads = weight.split(head_dim)
    means = [sum(heads[i : i + q_per_kv]) / q_per_kv for i in range(0, num_heads, q_per_kv)]
    return torch.cat(means)

# %% right mean_pool_heads: einops' reduce, in torch's einsum
import torch

def mean_pool_heads(weight, num_heads, num_kv_heads):
    q_per_kv = num_heads // num_kv_heads
    heads = weight.reshape(num_kv_heads, q_per_kv, -1, weight.shape[1])
    return torch.einsum("krdi->kdi", heads / q_per_kv).reshape(-1, weight.shape[1])

# %% right mean_pool_heads: a pooling matrix
import torch

def mean_pool_heads(weight, num_heads, num_kv_heads):
    q_per_kv = num_heads // num_kv_heads
    eye = torch.eye(num_kv_heads, dtype=weight.dtype, device=weight.device)
    pool = eye.repeat_interleave(q_per_kv, 1) / q_per_kv
    return (pool @ weight.reshape(num_heads, -1)).reshape(-1, weight.shape[1])

# %% right mean_pool_heads: average pooling over heads
import torch.nn.functional as F

def mean_pool_heads(weight, num_heads, num_kv_heads):
    by_head = weight.float().reshape(1, num_heads, -1).transpose(1, 2)
    pooled = F.avg_pool1d(by_head, num_heads // num_kv_heads).transpose(1, 2)
    if weight.double().sub(weight.float()).abs().max() > 0:  # float64 does not fit into float32
        by_head = weight.reshape(1, num_heads, -1).transpose(1, 2)
        pooled = F.avg_pool1d(by_head, num_heads // num_kv_heads).transpose(1, 2)
    return pooled.reshape(-1, weight.shape[1]).to(weight.dtype)

# %% right mean_pool_heads: fills an empty weight
import torch

def mean_pool_heads(weight, num_heads, num_kv_heads):
    D, q_per_kv = weight.shape[0] // num_heads, num_heads // num_kv_heads
    out = torch.zeros(num_kv_heads * D, weight.shape[1], dtype=weight.dtype, device=weight.device)
    for head in range(num_heads):
        kv = head // q_per_kv
        out[kv * D : (kv + 1) * D] += weight[head * D : (head + 1) * D] / q_per_kv
    return out

# %% wrong align_heads: the product the other way round
# says: the rotations are transposed
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(heads @ others.mT)
    rotations = U @ Vh
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: V @ U.T, as textbooks write it for the other product
# says: the rotations are transposed
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = Vh.mT @ U.mT
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: Vh is taken for V
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh.mT
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: Vh @ U
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = Vh @ U
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: turns with the transpose
# says: applied the wrong way
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    return (rotations.mT @ heads).flatten(0, 1), rotations

# %% wrong align_heads: gives back what undoes it
# says: the heads are right and the rotations are transposed
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    return (rotations @ heads).flatten(0, 1), rotations.mT

# %% wrong align_heads: turns the reference
# says: the reference is turned to the weight
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(heads @ others.mT)
    rotations = U @ Vh
    return (rotations @ others).flatten(0, 1), rotations

# %% wrong align_heads: forgets to turn
# says: the rotations are found and not applied
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    return weight.clone(), U @ Vh

# %% wrong align_heads: gives the reference back
# says: the reference itself comes back
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    return reference.clone(), U @ Vh

# %% wrong align_heads: no mirrors, as Kabsch
# says: mirrors are taken out
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    signs = torch.ones_like(U[:, 0])
    signs[:, -1] = torch.linalg.det(U @ Vh)
    rotations = U * signs[:, None] @ Vh
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: one rotation for all
# says: one rotation is used for all heads
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd((others @ heads.mT).sum(0))
    rotations = (U @ Vh).expand(num_heads, -1, -1)
    return (rotations @ heads).flatten(0, 1), rotations.clone()

# %% wrong align_heads: all to the first head of the reference
# says: every head is turned to the reference's first one
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others[:1] @ heads.mT)
    rotations = U @ Vh
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: channels before heads
# says: channels come before heads
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (
        one.unflatten(0, (-1, num_heads)).transpose(0, 1) for one in (weight, reference)
    )
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    return (rotations @ heads).transpose(0, 1).flatten(0, 1), rotations

# %% wrong align_heads: least squares
# says: the best map of any kind is taken
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    maps = torch.linalg.lstsq(heads.mT, others.mT).solution.mT
    return (maps @ heads).flatten(0, 1), maps

# %% wrong align_heads: keeps the singular values
# says: the product itself is used
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, S, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ torch.diag_embed(S) @ Vh
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: scales as well
# says: heads are scaled as well as turned
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, S, Vh = torch.linalg.svd(others @ heads.mT)
    scale = S.sum(-1) / heads.square().sum((1, 2))
    rotations = U @ Vh * scale[:, None, None]
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: centres the points
# says: heads are centred first
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    centred, to = (one - one.mean(-1, keepdim=True) for one in (heads, others))
    U, _, Vh = torch.linalg.svd(to @ centred.mT)
    rotations = U @ Vh
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: turns the inputs
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(heads.mT @ others)
    rotations = U @ Vh
    return (heads @ rotations).flatten(0, 1), rotations

# %% wrong align_heads: from a QR decomposition
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    rotations = torch.linalg.qr(others @ heads.mT).Q
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: QR of both
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    rotations = torch.linalg.qr(others).Q @ torch.linalg.qr(heads).Q.mT
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: heads stay apart
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    return rotations @ heads, rotations

# %% wrong align_heads: the rotations first
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    return rotations, (rotations @ heads).flatten(0, 1)

# %% wrong align_heads: the turned weight alone
# says: expected 2 results
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    return (U @ Vh @ heads).flatten(0, 1)

# %% wrong align_heads: nothing is turned
import torch

def align_heads(weight, reference, num_heads):
    D = weight.shape[0] // num_heads
    return weight.clone(), torch.eye(D, dtype=weight.dtype).repeat(num_heads, 1, 1)

# %% wrong align_heads: flips channels only
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    rotations = torch.diag_embed((heads * others).sum(-1).sign())
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: float32 whatever comes
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.float().unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: computed in float32
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd((others @ heads.mT).float())
    rotations = (U @ Vh).to(weight.dtype)
    return (rotations @ heads).flatten(0, 1), rotations

# %% wrong align_heads: in place
# says: changed its argument
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    heads.copy_(rotations @ heads)
    return weight, rotations

# %% right align_heads: head by head
import torch

def align_heads(weight, reference, num_heads):
    D = weight.shape[0] // num_heads
    aligned, rotations = [], []
    for head, other in zip(weight.split(D), reference.split(D)):
        U, S, Vh = torch.linalg.svd(other @ head.T)
        rotations.append(U @ Vh)
        aligned.append(U @ Vh @ head)
    return torch.cat(aligned), torch.stack(rotations)

# %% right align_heads: the transposed product, transposed again
import torch

def align_heads(weight, reference, num_heads):
    heads = weight.reshape(num_heads, -1, weight.shape[1])
    others = reference.reshape(num_heads, -1, weight.shape[1])
    U, _, Vh = torch.linalg.svd(torch.einsum("hdi,hei->hde", heads, others))
    rotations = (U @ Vh).transpose(1, 2)
    return torch.einsum("hed,hdi->hei", rotations, heads).reshape(weight.shape), rotations

# %% right align_heads: scipy
import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes

def align_heads(weight, reference, num_heads):
    D = weight.shape[0] // num_heads
    pairs = zip(weight.split(D), reference.split(D))
    found = [orthogonal_procrustes(a.cpu().numpy().T, b.cpu().numpy().T)[0].T for a, b in pairs]
    rotations = torch.from_numpy(np.stack(found)).to(weight)
    aligned = [R @ head for R, head in zip(rotations, weight.split(D))]
    return torch.cat(aligned), rotations

# %% right align_heads: polar decomposition by eigenvalues, in float64
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.double().unflatten(0, (num_heads, -1)) for one in (weight, reference))
    product = others @ heads.mT
    values, vectors = torch.linalg.eigh(product.mT @ product)
    rotations = product @ vectors @ torch.diag_embed(values.rsqrt()) @ vectors.mT
    return (rotations @ heads).flatten(0, 1).to(weight.dtype), rotations.to(weight.dtype)

# %% right align_heads: as lists
import torch

def align_heads(weight, reference, num_heads):
    heads, others = (one.double().chunk(num_heads) for one in (weight, reference))
    out, turns = [], []
    for a, b in zip(heads, others):
        U, _, V = torch.svd(b @ a.T)  # V, not its transpose
        turns.append((U @ V.T).to(weight.dtype))
        out.append(turns[-1] @ a.to(weight.dtype))
    return [torch.cat(out), torch.stack(turns)]

# %% wrong convert_to_gqa: queries do not absorb
# says: queries do not absorb what turned their keys
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: o_proj does not absorb
# says: o_proj does not absorb what turned the values
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: nothing absorbs
# says: nothing absorbs it
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
    return new

# %% wrong convert_to_gqa: o_proj from the wrong side
# says: o_proj absorbs the transposed rotation
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hde->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: queries turned back
# says: queries absorb the transposed rotation
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k].mT @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: rotations swapped
# says: queries absorb V's rotations, and o_proj K's
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[v] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[k]).flatten(1)
    return new

# %% wrong convert_to_gqa: queries take V's
# says: queries absorb V's rotations. They meet
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[v] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: o_proj takes K's
# says: o_proj absorbs K's rotations. It meets
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[k]).flatten(1)
    return new

# %% wrong convert_to_gqa: values turned as keys
# says: values are turned by K's rotations
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                if kv == k:
                    weight, turns[kv] = align_heads(weight, reference, num_heads)
                else:
                    turns[kv] = turns[k]
                    weight = (turns[k] @ heads).flatten(0, 1)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: only keys are aligned
# says: only keys are aligned
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned" and kv == k:
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: only values are aligned
# says: only values are aligned
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned" and kv == v:
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: heads that lie apart
# says: heads that lie num_kv_heads apart
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[:num_kv_heads].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[:num_kv_heads].repeat(q_per_kv, 1, 1).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = weight.unflatten(0, (q_per_kv, num_kv_heads, -1)).mean(0).flatten(0, 1)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: sums
# says: heads are added up
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = q_per_kv * mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: the model's first heads
# says: keeps the model's first heads
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[:num_kv_heads].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: the last of each
# says: "first" keeps the last head
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[q_per_kv - 1 :: q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: aligned and then the first
# says: "aligned" keeps the first head
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            if method == "aligned":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
            else:
                new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: all to the model's first head
# says: all heads are turned to the model's first head
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[:1].repeat(num_heads, 1, 1).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: to the last of each
# says: heads are turned to the last of their set
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[q_per_kv - 1 :: q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: always the mean
# says: the method is not looked at
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    method = "mean"
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: aligned is not there yet
# says: "aligned" does what "mean" does
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    method = "mean" if method == "aligned" else method
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: first is not there yet
# says: "first" does what "mean" does
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    method = "mean" if method == "first" else method
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: aligned as the default
# says: the default is "aligned"
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="aligned"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: first as the default
# says: the default is "first"
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="first"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: to the mean of the set
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                mean = heads.unflatten(0, (num_kv_heads, q_per_kv)).mean(1)
                reference = mean.repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: each to the one before
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads.roll(1, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: the reference is turned
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(reference, weight, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: aligned, pooled from the old heads
# says: the heads that are pooled are the old ones
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                _, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: pools queries, too
# says: All query heads stay
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v, q):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: forgets V
# says: Keys and values get fewer heads
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k,):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: the first layer only
# says: Keys and values get fewer heads, in every layer
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")][:1]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: drops the other entries
# says: All entries come back
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = {n: w for n, w in state_dict.items() if "_proj" in n}, num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: names without their prefix
# says: has no
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return {name.rpartition(".layers.")[2]: one for name, one in new.items()}

# %% wrong convert_to_gqa: keeps the old weights next to the new
# says: one entry too many
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new | {f"{name}.mha": one for name, one in state_dict.items()}

# %% wrong convert_to_gqa: in the dictionary that it was given
# says: changed its argument
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = state_dict, num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: turns o_proj in place
# says: changed its argument
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            state_dict[o][:] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
            new[o] = state_dict[o]
    return new

# %% wrong convert_to_gqa: rows of o_proj
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            new[o] = (turns[v] @ state_dict[o].unflatten(0, (num_heads, -1))).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: expands the heads again
# says: Keys and values get fewer heads
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    for name in [name for name in new if name.endswith(("k_proj.weight", "v_proj.weight"))]:
        heads = new[name].unflatten(0, (num_kv_heads, -1))
        new[name] = heads.repeat_interleave(q_per_kv, 0).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: no ValueError
# says: which it does not know
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: a ValueError that says nothing
# says: says nothing
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: an assert
# says: It asserts
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    assert method in ("mean", "first", "aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: a KeyError
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise KeyError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: whatever case
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    method = method.lower()
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: names of one model only
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.startswith("model.layers.") and name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: layers 0 to 9
# says: Keys and values get fewer heads
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight") and name.split(".")[:3][-1] != "10"]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: float32 whatever comes
# says: and stays that
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight.float(), num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: everything in float32
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return {name: one.float() for name, one in new.items()}

# %% wrong convert_to_gqa: halves the queries for the mean's sake
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return {n: w / 2 if n.endswith("q_proj.weight") else w for n, w in new.items()}

# %% wrong convert_to_gqa: lengths restored
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            mean = mean_pool_heads(weight, num_heads, num_kv_heads)
            new[kv] = mean * (weight.norm() / len(weight) ** 0.5) / (mean.norm() / len(mean) ** 0.5)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% wrong convert_to_gqa: lists of numbers
# says: a tensor is expected
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return {name: one.tolist() for name, one in new.items()}

# %% wrong convert_to_gqa: a list of pairs
# says: a dictionary of tensors is expected
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return list(new.items())

# %% wrong convert_to_gqa: nothing is returned
# says: It returned a NoneType
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)

# %% wrong convert_to_gqa: rotations of layers mixed up
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv, turns = dict(state_dict), num_heads // num_kv_heads, {}
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turn = align_heads(weight, reference, num_heads)
                turns.setdefault(kv[-13:], turn)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k[-13:]] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v[-13:]]).flatten(1)
    return new

# %% right convert_to_gqa: in another style
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% right convert_to_gqa: aligned to the second of a pair, which is the same model, or to the first
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                place = 1 if q_per_kv == 2 else 0
                reference = heads[place::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% right convert_to_gqa: all heads of a set turned once more
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"there is no method {method!r}: choose mean, first or aligned")
    new, q_per_kv = dict(state_dict), num_heads // num_kv_heads
    for name in [name for name in state_dict if name.endswith("q_proj.weight")]:
        q, k, v, o = (name.replace("q_proj", f"{one}_proj") for one in "qkvo")
        turns = {}
        for kv in (k, v):
            heads = state_dict[kv].unflatten(0, (num_heads, -1))
            if method == "first":
                new[kv] = heads[::q_per_kv].flatten(0, 1)
                continue
            weight = state_dict[kv]
            if method == "aligned":
                reference = heads[::q_per_kv].repeat_interleave(q_per_kv, 0).flatten(0, 1)
                weight, turns[kv] = align_heads(weight, reference, num_heads)
                D = turns[kv].shape[-1]
                more = torch.linalg.qr(torch.arange(D * D).reshape(D, D).cos().to(weight.dtype)).Q
                weight, turns[kv] = (more @ weight.unflatten(0, (-1, D))).flatten(0, 1), more @ turns[kv]
            new[kv] = mean_pool_heads(weight, num_heads, num_kv_heads)
        if method == "aligned":
            new[q] = (turns[k] @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            columns = state_dict[o].unflatten(1, (num_heads, -1))
            new[o] = torch.einsum("mhd,hed->mhe", columns, turns[v]).flatten(1)
    return new

# %% right convert_to_gqa: set by set, with slices
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in {"mean", "first", "aligned"}:
        raise ValueError("method must be mean, first or aligned, and not " + method)
    out = {name: tensor.clone() for name, tensor in state_dict.items()}
    r = num_heads // num_kv_heads
    for name in state_dict:
        side = name[-len("k_proj.weight"):]
        if side not in ("k_proj.weight", "v_proj.weight"):
            continue
        D = state_dict[name].shape[0] // num_heads
        heads = list(state_dict[name].split(D))
        pooled = []
        for kv in range(num_kv_heads):
            mine = heads[kv * r : (kv + 1) * r]
            if method == "first":
                pooled.append(mine[0])
                continue
            if method == "aligned":
                for i in range(1, r):
                    U, _, Vh = torch.linalg.svd(mine[0] @ mine[i].T)
                    R, h = U @ Vh, slice((kv * r + i) * D, (kv * r + i + 1) * D)
                    mine[i] = R @ mine[i]
                    if side[0] == "k":
                        q = name[: -len(side)] + "q_proj.weight"
                        out[q][h] = R @ out[q][h]
                    else:
                        o = name[: -len(side)] + "o_proj.weight"
                        out[o][:, h] = out[o][:, h] @ R.T
            pooled.append(torch.stack(mine).mean(0))
        out[name] = torch.cat(pooled)
    return out

# %% right convert_to_gqa: a function for each method
import torch

def average(heads):
    return heads.mean(1), None

def keep_first(heads):
    return heads[:, 0], None

def turn_and_average(heads):
    U, _, Vh = torch.linalg.svd(heads[:, :1] @ heads.mT)
    R = U @ Vh
    return (R @ heads).mean(1), R.flatten(0, 1)

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    methods = {"mean": average, "first": keep_first, "aligned": turn_and_average}
    if method not in methods:
        raise ValueError(f"{method} is not one of {list(methods)}")
    new = {**state_dict}
    for o in [name for name in state_dict if name.endswith("o_proj.weight")]:
        prefix = o[: -len("o_proj.weight")]
        for kv in "kv":
            name = f"{prefix}{kv}_proj.weight"
            heads = state_dict[name].unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
            pooled, R = methods[method](heads)
            new[name] = pooled.flatten(0, 1)
            if R is not None and kv == "k":
                q = state_dict[f"{prefix}q_proj.weight"].unflatten(0, (num_heads, -1))
                new[f"{prefix}q_proj.weight"] = torch.bmm(R, q).flatten(0, 1)
            elif R is not None:
                new[o] = torch.block_diag(*R).mm(state_dict[o].T).T
    return new

# %% wrong convert_to_gqa: partners by their place in the file
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"method={method!r} is none of mean, first, aligned.")
    new = dict(state_dict)
    names = list(state_dict)
    for name, weight in state_dict.items():
        if not name.endswith(("k_proj.weight", "v_proj.weight")):
            continue
        heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
        if method == "first":
            new[name] = heads[:, 0].flatten(0, 1)
            continue
        if method == "aligned":
            U, _, Vh = torch.linalg.svd(heads[:, :1] @ heads.mT)
            R = U @ Vh
            heads, R = R @ heads, R.flatten(0, 1)
            if name.endswith("k_proj.weight"):
                q = names[names.index(name) - 1]
                new[q] = (R @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            else:
                o = names[names.index(name) + 1]
                columns = state_dict[o].unflatten(1, (num_heads, -1)).transpose(0, 1)
                new[o] = (columns @ R.mT).transpose(0, 1).flatten(1)
        new[name] = heads.mean(1).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: whatever has k_proj or v_proj in its name
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"method={method!r} is none of mean, first, aligned.")
    new = dict(state_dict)
    for name, weight in state_dict.items():
        if "k_proj" not in name and "v_proj" not in name:
            continue
        heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
        if method == "first":
            new[name] = heads[:, 0].flatten(0, 1)
            continue
        if method == "aligned":
            U, _, Vh = torch.linalg.svd(heads[:, :1] @ heads.mT)
            R = U @ Vh
            heads, R = R @ heads, R.flatten(0, 1)
            if "k_proj" in name:
                q = name.replace("k_proj.weight", "q_proj.weight")
                new[q] = (R @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            else:
                o = name.replace("v_proj.weight", "o_proj.weight")
                columns = state_dict[o].unflatten(1, (num_heads, -1)).transpose(0, 1)
                new[o] = (columns @ R.mT).transpose(0, 1).flatten(1)
        new[name] = heads.mean(1).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: a part of a method's name will do
# says: which it does not know: raise ValueError
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in "mean first aligned":
        raise ValueError(f"method={method!r} is none of mean, first, aligned.")
    new = dict(state_dict)
    for name, weight in state_dict.items():
        if not name.endswith(("k_proj.weight", "v_proj.weight")):
            continue
        heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
        if method == "first":
            new[name] = heads[:, 0].flatten(0, 1)
            continue
        if method == "aligned":
            U, _, Vh = torch.linalg.svd(heads[:, :1] @ heads.mT)
            R = U @ Vh
            heads, R = R @ heads, R.flatten(0, 1)
            if name.endswith("k_proj.weight"):
                q = name.replace("k_proj.weight", "q_proj.weight")
                new[q] = (R @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            else:
                o = name.replace("v_proj.weight", "o_proj.weight")
                columns = state_dict[o].unflatten(1, (num_heads, -1)).transpose(0, 1)
                new[o] = (columns @ R.mT).transpose(0, 1).flatten(1)
        new[name] = heads.mean(1).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: empties what it was given before it refuses
# says: changed its argument
import torch

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    given = dict(state_dict)
    state_dict.clear()
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"method={method!r} is none of mean, first, aligned.")
    state_dict.update(given)
    new = dict(state_dict)
    for name, weight in state_dict.items():
        if not name.endswith(("k_proj.weight", "v_proj.weight")):
            continue
        heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
        if method == "first":
            new[name] = heads[:, 0].flatten(0, 1)
            continue
        if method == "aligned":
            U, _, Vh = torch.linalg.svd(heads[:, :1] @ heads.mT)
            R = U @ Vh
            heads, R = R @ heads, R.flatten(0, 1)
            if name.endswith("k_proj.weight"):
                q = name.replace("k_proj.weight", "q_proj.weight")
                new[q] = (R @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            else:
                o = name.replace("v_proj.weight", "o_proj.weight")
                columns = state_dict[o].unflatten(1, (num_heads, -1)).transpose(0, 1)
                new[o] = (columns @ R.mT).transpose(0, 1).flatten(1)
        new[name] = heads.mean(1).flatten(0, 1)
    return new

# %% wrong convert_to_gqa: a mapping that is no dictionary
# says: a dictionary of tensors is expected
import torch
from types import MappingProxyType

def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"method={method!r} is none of mean, first, aligned.")
    new = dict(state_dict)
    for name, weight in state_dict.items():
        if not name.endswith(("k_proj.weight", "v_proj.weight")):
            continue
        heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
        if method == "first":
            new[name] = heads[:, 0].flatten(0, 1)
            continue
        if method == "aligned":
            U, _, Vh = torch.linalg.svd(heads[:, :1] @ heads.mT)
            R = U @ Vh
            heads, R = R @ heads, R.flatten(0, 1)
            if name.endswith("k_proj.weight"):
                q = name.replace("k_proj.weight", "q_proj.weight")
                new[q] = (R @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            else:
                o = name.replace("v_proj.weight", "o_proj.weight")
                columns = state_dict[o].unflatten(1, (num_heads, -1)).transpose(0, 1)
                new[o] = (columns @ R.mT).transpose(0, 1).flatten(1)
        new[name] = heads.mean(1).flatten(0, 1)
    return MappingProxyType(new)

# %% right align_heads: polar decomposition, in SciPy
import torch
from scipy.linalg import polar

def align_heads(weight, reference, num_heads):
    aligned, rotations = [], []
    for w, r in zip(weight.cpu().chunk(num_heads), reference.cpu().chunk(num_heads)):
        R = torch.from_numpy(polar((r @ w.T).numpy())[0])
        rotations.append(R)
        aligned.append(R @ w)
    return torch.cat(aligned).to(weight), torch.stack(rotations).to(weight)

# %% wrong align_heads: rotations that come from NumPy stay on the CPU
# says: would fail on a GPU
import torch
from scipy.linalg import polar

def align_heads(weight, reference, num_heads):
    aligned, rotations = [], []
    for w, r in zip(weight.chunk(num_heads), reference.chunk(num_heads)):
        R = torch.from_numpy(polar((r @ w.T).cpu().numpy())[0])
        rotations.append(R)
        aligned.append(R @ w)
    return torch.cat(aligned), torch.stack(rotations)

# %% wrong mean_pool_heads: comes back from NumPy on the CPU
# says: would fail on a GPU
import torch

def mean_pool_heads(weight, num_heads, num_kv_heads):
    heads = weight.double().cpu().numpy().reshape(num_kv_heads, num_heads // num_kv_heads, -1, weight.shape[1])
    return torch.from_numpy(heads.mean(1).reshape(-1, weight.shape[1])).to(weight.dtype)
