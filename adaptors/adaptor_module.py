"""Import path of `AdaptorModule` in folders saved by earlier versions."""

from adaptors.modules.st_module import AdaptorModule

__all__ = ["AdaptorModule"]
