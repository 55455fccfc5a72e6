"""FBNet's grouped inverted residual."""

from nas.models.blocks.mbconv import module as module
