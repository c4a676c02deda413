"""The trainable networks by kind: the only classes that are trained or loaded from a saved folder."""

from adaptors.modules.base import Network
from adaptors.modules.block_mixing import Attention, ScalarMix
from adaptors.modules.linear import Linear, LinearOriginal
from adaptors.modules.mlp import Autoencoder, Mlp, MlpOriginal, Residual
from adaptors.modules.rotation import Rotation

__all__ = ["NETWORKS"]

NETWORKS: dict[str, type[Network]] = {
    network.kind: network
    for network in (
        Rotation,
        Linear,
        LinearOriginal,
        ScalarMix,
        Attention,
        Residual,
        Mlp,
        MlpOriginal,
        Autoencoder,
    )
}
