"""FBNet's grouped inverted residual with a channel shuffle (Wu et al., CVPR 2019)."""

from __future__ import annotations

from nas.space.blocks.mbconv import InvertedResidual


class Shuffle(InvertedResidual):
    """An mbconv by the name of FBNet's tables. Keys: shuffle-IN-OUT-kK-sS-mM[-gG][-seN][-ACTIVATION]."""

    name = "shuffle"
