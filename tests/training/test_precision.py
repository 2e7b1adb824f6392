"""run.precision "auto": by a clock of our own which precision is taken, and that trying them leaves no trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import toy_data

torch = pytest.importorskip("torch")

from support.toy_training import assert_equal, tiny, weights  # noqa: E402

from export.models.layers import BatchNormConv  # noqa: E402
from export.training import trainer as training  # noqa: E402
from export.training.precision import Choice, Chosen, choose_precision, trial  # noqa: E402
from export.training.trainer import Trainer  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen", "calls"),
    [
        ([9, 1, 1, 1], [5, 0.8, 0.8, 0.8], "bf16", 8),
        ([9, 1, 1, 1], [5, 0.95, 0.95, 0.95], "fp32", 8),
        ([9, 1, 1, 1], [5, 0.2, 1.0, 1.1], "fp32", 8),  # once by chance is not faster
        ([9, 1, 9, 1], [5, 0.8, 0.8, 9], "bf16", 8),
        ([1, 1, 1, 1], [4, 0.1, 0.1, 0.1], "fp32", 2),  # hopeless: not tried again
    ],
)
def test_bf16_must_win_clearly(fp32: list[float], bf16: list[float], chosen: str, calls: int) -> None:
    now, made = 0.0, []
    times = {"fp32": iter(fp32), "bf16": iter(bf16)}

    def update(precision: Chosen) -> None:
        nonlocal now
        made.append(precision)
        now += next(times[precision])

    choice = choose_precision(update, clock=lambda: now)
    assert choice.precision == chosen
    assert made == ["fp32", "bf16"] * (calls // 2)


def test_a_choice_in_words() -> None:
    assert str(Choice("bf16", 2.0, 1.0)) == (
        "run.precision auto: bf16 (faster: 2.00 s an update in fp32, 1.00 s in bf16)"
    )
    assert "fp32 (bf16 is not 10% faster: " in str(Choice("fp32", 1.0, 1.0))


def test_trying_leaves_no_trace(data: Path, tmp_path: Path) -> None:
    tried, other = (Trainer(tiny(precision="auto"), data, tmp_path / name) for name in ("tried", "other"))
    batch = [tried.data[64, 0], tried.data[64, 1]]
    before, random = weights(tried), torch.get_rng_state()
    choice = trial(tried.click_loop, batch, 0, 0.0)
    assert min(choice.fp32, choice.bf16) > 0
    for name, x in weights(tried).items():
        assert torch.equal(x, before[name]), name
    assert torch.equal(torch.get_rng_state(), random)
    assert (tried.optimizer.updates, tried.click_loop.precision) == (0, None)
    assert all(p.grad is None for p in tried.optimizer.network.parameters())
    assert tried.update(batch) == other.update(batch)
    assert_equal(tried, other)


@pytest.mark.parametrize(("chosen", "kind"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_a_run_takes_what_was_chosen(
    chosen: Chosen, kind: torch.dtype | None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "trial", lambda *_: Choice(chosen, 2.0, 1.5))
    run = Trainer(tiny(4, precision="auto"), data, tmp_path / "auto")
    run.run()
    assert run.click_loop.precision == kind
    first = json.loads((tmp_path / "auto" / "log.jsonl").read_text().splitlines()[0])
    assert (first["precision"], first["fp32"], first["bf16"]) == (chosen, 2.0, 1.5)
    fixed = Trainer(tiny(4, precision=chosen), data, tmp_path / "fixed")
    fixed.run()
    assert_equal(run, fixed)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 8])
def test_depthwise_convolutions_stay_in_float32_under_autocast(groups: int, stride: int) -> None:
    """Of inputs in bfloat16 the result is float32's, rounded once; a dense convolution has bfloat16 weights."""
    torch.manual_seed(0)
    conv = BatchNormConv(8, 8, 3, stride, groups)
    x = torch.randn(1, 8, 12, 12).bfloat16()
    exact = conv(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = conv(x)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, exact.bfloat16()) == (groups > 1)
    result.float().sum().backward()
    assert conv.weight.grad is not None
