import pytest
import torch

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_override(monkeypatch):
    for name in ("GQA_BACKEND", "GQA_EXCHANGE", "GQA_GRADEBOOK"):
        monkeypatch.delenv(name, raising=False)
