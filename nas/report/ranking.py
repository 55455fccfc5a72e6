"""Where a run's accuracies come from, and how well they rank its networks, as far as the run can tell, in words."""

from __future__ import annotations

import shlex

from nas.run import RankQuality, Run, Settings


def source_of(settings: Settings) -> str:
    """Which estimator and fidelity the accuracies come from, in a few sentences; empty where run.toml does not say."""
    own, name = settings.estimator_settings, settings.estimator
    if name == "table":
        return f"Accuracies are those of a table, {own.get('path', '?')}; no network was trained."
    predicted = f"Accuracies are predicted by the estimator {name}, which learned from"
    if own.get("labels"):
        return f"{predicted} the networks of {own['labels']}; no network of the search was trained."
    if not (fidelity := _fidelity(settings)):
        return ""
    if name == "combined":
        return f"{predicted} short trainings of other networks: {fidelity}. No network of the search was trained."
    if name == "curve":
        first = f"first {own['first']}" if "first" in own else "first"
        return f"{predicted} trainings of other networks: {fidelity}. Those of the search had the {first} epochs of it."
    part = float(settings.proxy.get("validation_share", 1)) < 1
    what = "validation images" if settings.task == "classification" else "objects of the validation images"
    images = f", on {settings.validation_images:,} {what}" if part and settings.validation_images else ""
    at = f"They were measured at each network's own resolution and precision{images}. "
    return (
        f"Accuracies are from a short training: {fidelity}. {at if settings.proxy.get('full_resolution_share') else ''}"
        f"Full training improves every network, some more than others.{_guide(settings)}"
    )


def _guide(settings: Settings) -> str:
    """What guided the search, in a sentence; empty where nothing did."""
    if not settings.guide:
        return ""
    return (
        f" The search was guided by scores of {settings.guide_networks:,} untrained networks ({settings.guide}), which "
        "have no part in the accuracies."
    )


def ranking_line(run: Run) -> str:
    """What the run can tell of its ranking, for the terminal; empty where that is nothing."""
    found = run.rank_quality
    if found is None:
        return ""
    return (
        "Accuracies are of short trainings; training again would rank the networks alike with a tau of "
        f"{_tau(found.two_trainings)} (noise alone; bias is not seen). {_repeated(found)}."
    )


def ranking_notes(run: Run) -> list[str]:
    """What the run can tell of its ranking, a few sentences each; nothing where that is nothing."""
    found = run.rank_quality
    if found is None:
        return []
    noise = (
        f"Noise, estimated from the run: two trainings of all {found.networks:,} networks would rank them alike with "
        f"a Kendall's tau of {_tau(found.two_trainings)} (1: the same order; 0: no relation). With the networks' own "
        f"accuracies, the means over all seeds, one training has a tau of {_tau(found.one_training)}, and the expected "
        f"accuracies have {_tau(found.expected)}."
    )
    if found.first_second is None or found.low is None or found.high is None:
        measured = f"{_repeated(found)}: too few to measure a tau between first and second trainings."
    else:
        measured = (
            f"{_repeated(found)}: between their first and second trainings tau is {_tau(found.first_second)} (90% "
            f"interval {_tau(found.low)} to {_tau(found.high)}). They were chosen near the front, not at random: "
            "if they differ less than all networks do, tau over all is higher than this."
        )
    bias = (
        "Bias is not seen by any of these figures: a short training may prefer networks that learn fast, with every "
        f"seed. docs/accuracy.md tells more; this compares the training with one of three times the epochs: "
        f"{_self_check(run.settings)}"
    )
    return [noise, measured, bias]


def not_known(run: Run) -> str:
    """What is not known of the ranking, in a few sentences."""
    if run.settings.estimator == "table":
        return "Not known: how the table's accuracies were reached, and how much they vary with the seed."
    if run.settings.estimator in ("curve", "combined"):
        return (
            "Not measured: how well these predictions rank the networks of this space on this dataset. A bias of the "
            "trainings that they were learned from is in them too."
        )
    trained = [t for t in run.trials if t.state == "trained"]
    again = sum(t.trainings > 1 for t in trained)
    if not again:
        return (
            "Not measured: how well this short training ranks the networks of this space on this dataset, and how much "
            "an accuracy varies with the seed. Each network was trained once."
        )
    return (
        f"{again:,} of the {len(trained):,} trained networks were trained more than once, with other seeds. Not "
        "measured: how well this short training ranks networks as a full training would."
    )


def _fidelity(settings: Settings) -> str:
    """What the trainings were; empty where run.toml does not say."""
    p = {k: v for k, v in settings.proxy.items() if isinstance(v, int | float)}
    if not p:
        return ""
    share, pixels = p.get("data_share", 1), p.get("resolution_share", 1)
    own = p.get("full_resolution_share", 0)  # 0: an older run, whose accuracies are of the smaller resolution
    sizes = f" at {pixels:.0%} of the resolution" if pixels < 1 else ""
    return (
        f"{p.get('epochs', '?')} epochs"
        + (f" on {share:.0%} of the images" if share < 1 else "")
        + (f"{sizes}, the last {own:.0%} of the steps at all of it" if sizes and own else sizes)
    )


def _repeated(found: RankQuality) -> str:
    return "1 network was trained again" if found.repeated == 1 else f"{found.repeated:,} networks were trained again"


def _tau(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # never -0.00


def _self_check(settings: Settings) -> str:
    """The command that compares this training with a longer one."""
    command = ["nas", "bench", "estimators", "--self-check", "--space", settings.space, "--dataset", settings.dataset]
    for name in ("epochs", "data_share"):
        if isinstance(value := settings.proxy.get(name), int | float):
            command += [f"--{name.replace('_', '-')}", f"{value:g}"]
    return shlex.join(command)
