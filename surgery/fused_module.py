"""Where folders that were saved before look for `FusedModule`."""

from surgery.fusing.module import FusedModule

__all__ = ["FusedModule"]
