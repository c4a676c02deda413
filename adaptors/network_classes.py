"""The networks by their kind: no other class is trained, or made of a saved folder."""

from adaptors.base import Network
from adaptors.linear import Linear, LinearOriginal
from adaptors.mixing import Attention, ScalarMix
from adaptors.mlp import Autoencoder, Mlp, MlpOriginal, Residual
from adaptors.rotation import Rotation

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
