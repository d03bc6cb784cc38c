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
    found = [orthogonal_procrustes(a.numpy().T, b.numpy().T)[0].T for a, b in pairs]
    rotations = torch.from_numpy(np.stack(found)).to(weight.dtype)
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
