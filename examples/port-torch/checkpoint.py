# Makes model.safetensors, a checkpoint as PyTorch writes it, and sample.safetensors, two images with what the model makes of them.
# apt-get install python3-torch, pip install safetensors
import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(1)
model = nn.Sequential()
model.add_module("conv1", nn.Conv2d(1, 4, 3, padding=1, bias=False))
model.add_module("bn1", nn.BatchNorm2d(4, eps=1e-3))
model.add_module("relu1", nn.ReLU())
model.add_module("conv2", nn.Conv2d(4, 8, 3, padding=1, bias=False))
model.add_module("bn2", nn.BatchNorm2d(8, eps=1e-3))
model.add_module("relu2", nn.ReLU())
model.add_module("pool", nn.AdaptiveAvgPool2d(1))
model.add_module("flatten", nn.Flatten())
model.add_module("fc", nn.Linear(8, 2))


# Which half of an image is brighter, the left or the right one?
def batch(count):
    labels = torch.arange(count) % 2
    images = torch.randn(count, 1, 8, 8)
    for image, label in zip(images, labels):
        image[0, :, 4 * label : 4 * label + 4] += 1
    return images, labels


optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(200):
    images, labels = batch(32)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()

model.eval()
images, _ = batch(2)
save_file(model.state_dict(), "model.safetensors")
save_file({"images": images, "scores": model(images).detach()}, "sample.safetensors")
