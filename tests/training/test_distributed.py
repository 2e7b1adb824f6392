"""How processes that train together share GPUs, and how they meet."""

from __future__ import annotations

from datetime import timedelta

import pytest

torch = pytest.importorskip("torch")

from export.training import distributed  # noqa: E402


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Stand in for GPUs and for the meeting of processes; return what was done."""
    done: list[object] = []

    def meet(backend: str, timeout: timedelta) -> None:
        assert timeout > timedelta(days=1), "a paused run would be given up"
        done.append(backend)

    monkeypatch.setattr(torch.cuda, "set_device", lambda device: done.append(device))
    monkeypatch.setattr(torch.distributed, "init_process_group", meet)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: done.append("left"))
    return done


@pytest.mark.parametrize(
    ("gpus", "processes", "backend", "devices"),
    [
        (0, 2, "gloo", ["cpu", "cpu"]),
        (1, 1, "nccl", ["cuda:0"]),
        (4, 4, "nccl", ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        (4, 2, "nccl", ["cuda:0", "cuda:1"]),
        (1, 4, "gloo", ["cuda:0"] * 4),  # NCCL refuses two processes on one GPU
        (2, 3, "gloo", ["cuda:0", "cuda:1", "cuda:0"]),
    ],
)
def test_processes_share_the_gpus(
    gpus: int, processes: int, backend: str, devices: list[str], met: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    for number, name in enumerate(devices):
        # Of all machines together, the rank is another: 10 processes came before those of this one.
        for variable, value in (("RANK", 10 + number), ("LOCAL_RANK", number), ("LOCAL_WORLD_SIZE", processes)):
            monkeypatch.setenv(variable, str(value))
        met.clear()
        with distributed.joined() as device:
            assert device == torch.device(name)
            assert met == ([device] if gpus else []) + [backend]
        assert met[-1] == "left"


@pytest.mark.parametrize(("gpus", "name"), [(0, "cpu"), (1, "cuda"), (4, "cuda")])
def test_a_process_alone_meets_nobody(gpus: int, name: str, met: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv("RANK", raising=False)
    with distributed.joined() as device:
        assert device == torch.device(name)
    assert not met


def test_processes_are_left_after_a_failure(met: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for variable, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1")):
        monkeypatch.setenv(variable, value)
    with pytest.raises(RuntimeError, match="went wrong"), distributed.joined():
        raise RuntimeError("went wrong")
    assert met == ["gloo", "left"]


@pytest.mark.parametrize("backend", ["gloo", "nccl"])
def test_sums_go_over_the_cpu_only_where_gloo_makes_them(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients become their mean, in the tensors and layouts that they have."""
    summed: list[torch.Tensor] = []

    def all_reduce(tensor: torch.Tensor) -> None:
        summed.append(tensor)
        tensor.mul_(4)  # three processes that had three times as much

    dist = torch.distributed
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    moved: list[str] = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: (moved.append("cpu"), cpu(self))[1])
    parameters = [torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(4), requires_grad=False)]
    parameters.append(torch.nn.Parameter(torch.zeros(5)))
    parameters[0].grad = torch.arange(6.0).reshape(2, 3)
    distributed.average_gradients(parameters)
    assert len(summed) == 1
    assert moved == (["cpu"] if backend == "gloo" else [])
    torch.testing.assert_close(parameters[0].grad, 2 * torch.arange(6.0).reshape(2, 3))
    assert parameters[1].grad is None
    torch.testing.assert_close(parameters[2].grad, torch.zeros(5))
