from pathlib import Path

import numpy as np
import pytest

from nas.deploy.export import export_onnx
from nas.errors import UserError
from nas.models.builder import build
from nas.space.onnx_file import read_onnx
from nas.space.search_space import load_space


def test_the_exported_file_computes_what_the_module_computes_and_counts_the_same(tmp_path: Path) -> None:
    import onnxruntime
    import torch

    space = load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(1)))
    model = build(network, seed=4).eval()
    exported = export_onnx(network, model.state_dict(), tmp_path / "net.onnx")
    image = torch.randn(1, *network.input_shape, generator=torch.Generator().manual_seed(9))
    session = onnxruntime.InferenceSession(str(exported.path))
    with torch.inference_mode():
        wanted = model(image).numpy()
    np.testing.assert_allclose(session.run(None, {"image": image.numpy()})[0], wanted, atol=1e-4)
    assert read_onnx(exported.path).network.macs == network.macs
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    space = load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(1)))
    with pytest.raises(UserError, match="cannot write"):
        export_onnx(network, build(network).state_dict(), tmp_path / "nowhere" / "net.onnx")
