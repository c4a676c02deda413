"""The networks by their kind: what can be trained, and what may be made of a saved folder."""

from adaptors.mixing import Attention, ScalarMix
from adaptors.networks import Autoencoder, Linear, LinearOriginal, Mlp, MlpOriginal, Network, Residual
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
