"""Import path of `FusedModule` in folders saved by earlier versions."""

from surgery.fusing.module import FusedModule

__all__ = ["FusedModule"]
