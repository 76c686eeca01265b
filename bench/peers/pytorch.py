"""PyTorch as a side: native_batch_norm and its backward, as the module calls them, on one thread.

PyTorch allocates with malloc. The recycled side is started with settings that keep malloc from returning memory to the
system (see sides.ts).
"""

import os
import sys
import time

import numpy
import torch

EPS = 1e-5
MOMENTUM = 0.1


def read(directory, name, shape):
    return torch.from_numpy(numpy.fromfile(f"{directory}/{name}.f32", dtype=numpy.float32)).reshape(shape)


def whole(directory, name, layout, shape):
    """x or dy as PyTorch expects it: channels-first shape, in the memory format of the layout."""
    if layout == "channels-first" or len(shape) == 2:
        return read(directory, name, shape)
    n, channels, *positions = shape
    stored = read(directory, name, [n, *positions, channels])
    return stored.permute(0, stored.dim() - 1, *range(1, stored.dim() - 1))


def in_layout(tensor, layout):
    if layout == "channels-first" or tensor.dim() == 2:
        return tensor.contiguous()
    return tensor.permute(0, *range(2, tensor.dim()), 1).contiguous()


def prepare(operation, layout, dimensions, directory):
    """Return a function that runs once and returns the results."""
    shape = [int(size) for size in dimensions.split("x")]
    vectors = [read(directory, name, shape[1]) for name in ("weight", "bias", "mean", "variance")]
    weight, bias, mean, variance = vectors
    x = whole(directory, "x", layout, shape)
    if operation != "backward":
        training = operation == "train"
        return lambda: torch.native_batch_norm(x, weight, bias, mean, variance, training, MOMENTUM, EPS)[:1]
    dy = whole(directory, "dy", layout, shape)
    _, saved_mean, saved_rstd = torch.native_batch_norm(x, weight, bias, mean, variance, True, MOMENTUM, EPS)
    backward = torch.ops.aten.native_batch_norm_backward
    return lambda: backward(dy, x, weight, mean, variance, saved_mean, saved_rstd, True, EPS, [True, True, True])


def write(path, layout, results):
    with open(path, "wb") as file:
        in_layout(results[0], layout).numpy().tofile(file)
        for vector in results[1:]:
            vector.numpy().tofile(file)


def main():
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    answer = lambda line: print(line, flush=True)
    answer(f"hello pytorch {torch.__version__}")
    run = layout = latest = None
    for line in sys.stdin:
        command, *words = line.strip().split(" ")
        try:
            if command == "quit":
                break
            if command == "prepare":
                # Free the memory of the last case first.
                run = latest = None
                operation, layout, dimensions, *path = words
                run = prepare(operation, layout, dimensions, " ".join(path))
                answer("ready")
            elif command == "write":
                write(" ".join(words), layout, run())
                answer("written")
            elif command == "sample":
                untimed, timed = map(int, words)
                for _ in range(untimed):
                    latest = run()
                start = time.perf_counter()
                for _ in range(timed):
                    latest = run()
                answer((time.perf_counter() - start) * 1e3 / timed)
                latest = None
            else:
                raise ValueError(f"expected prepare, write, sample or quit, got {command}")
        except Exception as error:  # pylint: disable=broad-except
            answer("error " + str(error).replace("\n", " "))


with torch.inference_mode():
    main()
