"""Why an int8 or fp16 model is slower than fp32 on a machine, in words."""

from __future__ import annotations

from pathlib import Path

from nas.deploy.measure import Machine
from nas.runtimes.onnx.fusion import fusion_of
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Form, parts_of
from nas.runtimes.tflite.operators import unmapped

DOT_PRODUCTS = {  # instructions that int8 is fast with, by the architecture's name
    "x86_64": ("avx512_vnni", "avx_vnni", "avxvnni", "amx_int8"), "aarch64": ("asimddp", "i8mm"),
}  # fmt: skip
SHORT_MS = 0.3  # below it, starting an operation takes longer than computing it


def why_slower(path: Path, form: Form, machine: Machine, fp32_ms: float) -> list[str]:
    """The reasons that can be seen in the file and on the machine, the most likely first."""
    (precision, runtime), said = parts_of(form), list[str]()
    if precision == "fp16":
        return ["CPUs convert fp16 to fp32 before they compute and back afterwards: it is for GPUs and NPUs"]
    if runtime == "onnxruntime":
        fusion = fusion_of(OnnxRuntime().optimized(path.read_bytes()))
        if fusion.convolutions[0] < fusion.convolutions[1] or fusion.clips:
            said.append(f"not all of it runs in integers: {fusion.text}")
    elif machine.machine == "x86_64" and (left := unmapped(path.read_bytes())):
        said.append(f"LiteRT has no fast kernel in int8 on x86 for {left}")
    known = DOT_PRODUCTS.get(machine.machine)
    if known and not set(known) & set(machine.instructions):
        said.append(
            f"this processor has no dot product of 8-bit integers ({' or '.join(known)}), so int8 takes as many "
            "instructions as fp32"
        )
    if fp32_ms < SHORT_MS:
        said.append(
            f"the network is small: fp32 takes {fp32_ms:.2g} ms, most of it to start its "
            "operations, and int8 has more of them"
        )
    return said or ["neither the file nor the processor's instructions tell; profile both with ONNX Runtime"]
