import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.catalog import names
from nas.errors import UserError
from nas.space.block_table import all_blocks, block_table
from nas.space.candidate import Candidate
from nas.space.search_space import SearchSpace, load_space
from tests.shared_data import shared_data

SPACES = sorted(names("search_spaces", ".toml"))


@pytest.fixture(scope="module", params=SPACES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return load_space(request.param)


def test_the_spaces_that_ship() -> None:
    assert {
        "mobilenet-v2", "mobilenet-v3", "efficientnet-lite", "efficientnet", "fbnet-cifar", "nas-bench-macro", "tiny",
    } <= set(SPACES)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("nas-bench-macro", 3969),  # the paper's number of distinct networks
        ("mobilenet-v3", 25 * 7371**5),  # 9^2 + 9^3 + 9^4 choices a stage (Cai et al., ICLR 2020), 25 resolutions
        # 8 operations and a skip; where shapes stay a skip only moves: 1 + 8 + 64 + 512 = 585 tails of a stage
        ("fbnet-cifar", 9 * (9 * 585) ** 5 * 9),
    ],
)
def test_size_is_the_number_of_distinct_networks(name: str, size: int) -> None:
    assert load_space(name).size == size


def test_sampled_candidates_are_canonical_and_survive_encoding_and_json(space: SearchSpace) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        candidate = space.sample(rng)
        assert space.canonical(candidate) == candidate
        assert space.decode(space.encode(candidate)) == candidate
        assert Candidate.from_json(candidate.json()) == candidate


def test_equal_seeds_draw_equal_candidates(space: SearchSpace) -> None:
    one, two = ([space.sample(np.random.default_rng(7)) for _ in range(3)] for _ in range(2))
    assert one == two
    assert np.array_equal(
        space.sample_codes(5, np.random.default_rng(1)), space.sample_codes(5, np.random.default_rng(1))
    )


def test_neighbors_change_little_and_stay_in_the_space(space: SearchSpace) -> None:
    rng = np.random.default_rng(5)
    codes = space.sample_codes(2, rng)
    near = space.neighbors(codes, 200, rng)
    for code in near[:20]:
        assert np.array_equal(space.encode(space.decode(code)), code)
    changes = (near[:, None] != codes[None]).sum(axis=-1).min(axis=1)
    assert 0 < changes.mean() < 2.5 and changes.max() > 1


def test_blocks_chain_and_the_canonical_candidate_builds_the_same_network(space: SearchSpace) -> None:
    rng = np.random.default_rng(11)
    for code in space.sample_codes(25, rng):
        candidate = space.decode(code)
        network = space.network(candidate, classes=7)
        assert network == space.network(space.canonical(candidate), classes=7)
        first = network.heads[0] if network.detects else len(network.blocks)
        for before, after in zip(network.blocks[:first], network.blocks[1:first], strict=False):
            assert before.out_shape == after.in_shape
        for tap, head in zip(network.taps, network.heads, strict=True):
            assert network.blocks[tap].out_shape == network.blocks[head].in_shape
        assert network.classes == 7
        for block in network.blocks:
            assert block.layers[0].in_shape == block.in_shape
            assert block.layers[-1].out_shape == block.out_shape


def test_a_table_of_blocks_gives_what_each_network_gives(space: SearchSpace) -> None:
    codes = space.sample_codes(60, np.random.default_rng(2))
    table = block_table(space, codes)
    macs = table.total(np.array([float(sum(layer.macs for layer in b.layers)) for b in table.blocks]))
    live = table.largest(np.array([float(max(layer.live for layer in b.layers)) for b in table.blocks]))
    for code, wanted, most in zip(codes, macs, live, strict=True):
        network = space.network(space.decode(code))
        assert network.macs == wanted
        assert max(layer.live for layer in network.layers) == most


def test_all_blocks_holds_every_block_that_can_occur() -> None:
    space = load_space("mobilenet-v3")
    every = set(all_blocks(space))
    table = block_table(space, space.sample_codes(3000, np.random.default_rng(0)))
    assert set(table.blocks) <= every
    assert {b for b in every if b.in_shape[1] == 224} <= set(all_blocks(space, resolution=224))


def test_a_lookup_table_of_too_many_blocks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    many = GOOD.replace("resolution = [32, 64]", f"resolution = {list(range(1, 101))}")
    many = many.replace("kernel = [3, 5]", f"kernel = {list(range(1, 60, 2))}, se = [0, 0.25, 0.5, 1]")
    path.write_text(many.replace("expand = [2, 4]", f"expand = {[1 + n / 100 for n in range(100)]}"))
    with pytest.raises(UserError, match="too many blocks for a lookup table"):
        all_blocks(load_space(str(path)))


def test_nas_bench_macro_codes_have_the_tables_params_and_macs_and_canonical_forms() -> None:
    path = shared_data("nas_bench_macro/nas_bench_macro.csv")
    space = load_space("nas-bench-macro")
    ops = ("identity", "e3_k3", "e6_k5")
    choices = [c.name for c in space.choices]
    canonical: dict[Candidate, set[str]] = {}
    with Path(path).open() as file:
        for row in csv.DictReader(file):
            code = dict(zip(choices, [*(ops[int(d)] for d in row["arch"]), "fp32"], strict=True))
            candidate = Candidate.of(code)
            network = space.network(candidate)
            assert (network.params, network.macs) == (int(row["params"]), int(row["macs_recomputed"])), row["arch"]
            canonical.setdefault(space.canonical(candidate), set()).add(row["canonical_arch"])
    assert len(canonical) == 3969
    assert all(len(forms) == 1 for forms in canonical.values())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_larger_resolution_never_has_fewer_macs(seed: int) -> None:
    space = load_space("mobilenet-v2")
    values = space.sample(np.random.default_rng(seed)).as_dict()
    macs = [space.network(Candidate.of(values | {"resolution": r})).macs for r in (96, 128, 160, 192, 224)]
    assert macs == sorted(macs)


GOOD = """
name = "s"
title = "t"
source = "p"
resolution = [32, 64]
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 16, activation = "relu" },
  { block = "mbconv", depth = [1, 2], kernel = [3, 5], expand = [2, 4], channels = 24, activation = "relu" },
  { block = "pool_linear" },
]
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kernel = [3, 5]", "kernl = [3, 5]", "stage.1.kernl: unknown key"),
        ("kernel = [3, 5]", 'kernel = "three"', "stage.1.kernel"),
        ("kernel = [3, 5]", "kernel = []", "stage.1.kernel"),
        ("expand = [2, 4]", "expand = [2, -4]", "stage.1.expand"),
        ("resolution = [32, 64]", "", "resolution"),
        ("resolution = [32, 64]", "resolution = [32, 32]", "twice"),
        ('activation = "relu" },\n  { block = "mb', 'activation = "gelu" },\n  { block = "mb', "stage.0.activation"),
        ('{ block = "pool_linear" },', "", "last stage"),
        ("channels = 24, ", "", "channels must be given"),
        ("stage = [", "stage = ", "not a readable TOML"),
        ('source = "p"', 'source = "p"\nhyperparameters = { learning_rat = [0.1] }', "learning_rat"),
        ('source = "p"', 'source = "p"\nhyperparameters = { learning_rate = { low = 1.0, high = 0.1 } }', "below high"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_the_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(GOOD)
    assert load_space(str(path)).size == 2 * (4 + 16)
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UserError) as refusal:
        load_space(str(path))
    assert says in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


LAST = '  { block = "pool_linear" },'
MANY = (
    f"expand = {[1 + n / 100 for n in range(100)]}, se = {[n / 100 for n in range(100)]}, kernel = {[*range(1, 40, 2)]}"
)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "s"', 'name = "../../evil"', "name: must have 1 to 64 letters"),
        ('name = "s"', 'name = "a/b"', "name: must have 1 to 64 letters"),
        ("depth = [1, 2]", "depth = 1_000_000", "stage.1.depth: .* less than or equal to 1000"),
        ("depth = [1, 2]", "depth = [1, 1_000_000_000]", r"stage.1.depth.1: .* less than or equal to 1000"),
        ("depth = [1, 2]", "depth = [999, 1000]", "at most 1,000 blocks together; got 1,002"),
        ("kernel = [3, 5]", "kernel = 1_000_001", "stage.1.kernel: .* less than or equal to 63"),
        ("kernel = [3, 5]", "kernel = 4", "stage.1.kernel: a kernel must be odd"),
        ("resolution = [32, 64]", "resolution = 1_000_000", "resolution: .* less than or equal to 4096"),
        ("resolution = [32, 64]", f"resolution = {list(range(1, 200))}", "at most 100 options; got 199"),
        ("resolution = [32, 64]", "resolution = 32\nwidth = 1e308", "width: .* less than or equal to 64"),
        ("resolution = [32, 64]", "resolution = 32\nwidth = [1, 1e308]", "width.1: .* less than or equal to 64"),
        ("resolution = [32, 64]", "resolution = 32\nclasses = 10_000_000_000", "classes: .* less than"),
        ("channels = 24", "channels = 1_000_000_000", "stage.1.channels: .* less than or equal to 16384"),
        (
            "expand = [2, 4], channels = 24",
            "expand = 64, channels = 16_384",
            "expand to at most 131,072 channels; got 1,048,576",
        ),
        ("expand = [2, 4]", "expand = 1e300", "stage.1.expand: .* less than or equal to 64"),
        (
            "kernel = [3, 5], expand = [2, 4], channels = 24",
            f"{MANY}, channels = [24, 32]",
            "at most 250,000 different blocks",
        ),
        (LAST, LAST * 2_000, "stage: .* at most 100 items"),
        (LAST, LAST * 2, "only the last stage can be pool_linear"),
        (LAST, '  { block = "linear" },', "must come after a stage that pools"),
        (LAST, '  { block = "pool" }, { block = "pool_linear" },', "only one stage can pool"),
        (LAST, '  { block = "pool_linear", kernel = [3, 5] },', "kernel means nothing"),
        ("kernel = [3, 5]", "norm = false", "stage.1: norm means nothing to a block of kind 'mbconv'"),
        ("kernel = [3, 5]", "groups = 5", "has 5 groups, into which 24 channels do not split"),
        ("kernel = [3, 5]", 'name = "a.b"', "stage.1.name: must have no dot"),
        ("kernel = [3, 5]", 'name = "stage0"', "two are called 'stage0'"),
        ("kernel = [3, 5]", "kernel = [3, 5, 3]", "kernel must not name a value twice"),
        ('block = "mbconv"', 'block = "mbcov"', "stage.1.block: must be one of conv, ds, .*; got 'mbcov'"),
    ],
)
def test_a_table_that_makes_no_sense_or_too_much_is_refused_at_once(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    path = tmp_path / "s.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UserError, match=says) as refusal:
        load_space(str(path))
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("learning_rate = { low = -1.0, high = 0.1 }", "learning_rate must be above 0 and at most 3.4e.38; got -1"),
        (
            "learning_rate = { low = 0.1, high = 1e308 }",
            r"learning_rate must be above 0 and at most 3.4e.38; got 1e\+308",
        ),
        ("learning_rate = [0.1, 0.0]", "learning_rate must be above 0"),
        ('learning_rate = ["fast"]', "learning_rate must be a number; got 'fast'"),
        ("learning_rate = { low = 0.5, high = 2.0, integer = true }", "low and high must be whole"),
        ("weight_decay = [-0.1]", "weight_decay must be from 0 to 3.4e.38; got -0.1"),
        ("label_smoothing = { low = 0.0, high = 1.0 }", "label_smoothing must be from 0 to below 1; got 1"),
        ('optimizer = ["adam"]', "unknown optimizer 'adam'; did you mean 'adamw'"),
        ("optimizer = { low = 0.0, high = 1.0 }", "unknown optimizer '0.0'"),
        ('augmentation = ["none", "cutmix"]', "unknown augmentation 'cutmix'"),
        ("label_smoothing = [0.1, 0.1]", "none of them twice"),
    ],
)
def test_hyperparameters_that_no_training_takes_are_refused_with_the_space(
    tmp_path: Path, given: str, says: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f"{GOOD}\n[hyperparameters]\n{given}\n")
    with pytest.raises(UserError, match=says):
        load_space(str(path))


@pytest.mark.parametrize("given", ["batch_size = 1", "epochs = 0", "epochs = 1_000_000_000", "data_share = 0.0"])
def test_a_proxy_budget_that_no_training_takes_is_refused_with_the_space(tmp_path: Path, given: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f"{GOOD}\n[proxy]\n{given}\n")
    with pytest.raises(UserError, match=rf"proxy\.{given.split()[0]}"):
        load_space(str(path))


def test_an_unknown_space_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'mobilenet-v3'"):
        load_space("mobilnet-v3")


@pytest.mark.parametrize("change", [{"precision": "int4"}, {"resolution": 33}, {"extra": 1}])
def test_a_foreign_candidate_is_refused(change: dict[str, int | str]) -> None:
    space = load_space("tiny")
    values = space.sample(np.random.default_rng(0)).as_dict() | change
    with pytest.raises(UserError, match=next(iter(change))):
        space.encode(Candidate.of(values))
