"""Writes torch.json: batch normalization by PyTorch in float64, the golden vectors of test/torch.test.ts.

Run: python3 test/vectors/make.py      (Debian: apt-get install python3-torch)

Inputs are multiples of 1/1024 with few digits, so that float32 holds them exactly and one file serves both dtypes.
Arrays are flat, row-major, channels-first; the test permutes them for channels-last.
"""

import json
from pathlib import Path

import torch

CASES = [
    # shape, options of the module, mean of the data
    ([5, 3], {}, 0),
    ([60, 7], {"momentum": 0.5}, 0),
    ([2, 1], {}, 0),
    ([6, 5], {"affine": False}, 10),
    ([4, 3, 9], {"eps": 1e-3}, 0),
    ([7, 6, 2], {"momentum": None}, 3),
    ([9, 1, 4], {}, 0),
    ([3, 5, 7, 7], {}, 0),
    ([2, 4, 5, 3], {"momentum": None, "eps": 1e-3}, 5),
    ([2, 17, 1, 1], {"track_running_stats": False}, 0),
    ([1, 8, 4, 4], {"affine": False, "momentum": 0.0}, 0),
    ([2, 3, 2, 3, 4], {}, 0),
    ([3, 4, 3, 2, 2], {"track_running_stats": False, "eps": 0.5}, -1000),
    ([2, 2, 2, 2, 17], {"momentum": 1.0}, 0),
]


def on_grid(tensor):
    return (tensor * 1024).round() / 1024


def flat(tensor):
    return tensor.detach().reshape(-1).tolist()


def module_of(shape, options):
    kinds = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}
    module = kinds[len(shape)](shape[1], **options).double()
    if module.affine:
        with torch.no_grad():
            module.weight.copy_(on_grid(torch.randn(shape[1]) + 1))
            module.bias.copy_(on_grid(torch.randn(shape[1])))
    return module


def step(module, x, dy):
    """One forward and backward: y, dx, dweight, dbias and the running statistics after it."""
    x = x.clone().requires_grad_()
    module.zero_grad(set_to_none=True)
    y = module(x)
    y.backward(dy)
    result = {"y": flat(y), "dx": flat(x.grad)}
    if module.affine:
        result.update(dweight=flat(module.weight.grad), dbias=flat(module.bias.grad))
    if module.track_running_stats:
        result.update(
            running_mean=flat(module.running_mean),
            running_var=flat(module.running_var),
            num_batches_tracked=int(module.num_batches_tracked),
        )
    return result


def case(shape, options, mean):
    module = module_of(shape, options)
    scale = torch.rand(shape[1]).reshape([1, -1] + [1] * (len(shape) - 2)) * 2 + 0.5
    batches = [on_grid(torch.randn(shape, dtype=torch.float64) * scale + mean) for _ in range(2)]
    dy = on_grid(torch.randn(shape, dtype=torch.float64))
    result = {"shape": shape, "options": options, "x": [flat(x) for x in batches], "dy": flat(dy)}
    if module.affine:
        result.update(weight=flat(module.weight), bias=flat(module.bias))
    result["train"] = [step(module.train(), x, dy) for x in batches]
    result["eval"] = step(module.eval(), batches[0], dy)
    return result


torch.manual_seed(1502)
vectors = {"torch": torch.__version__, "cases": [case(*each) for each in CASES]}
Path(__file__).with_name("torch.json").write_text(json.dumps(vectors, separators=(",", ":")) + "\n")
