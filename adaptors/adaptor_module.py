"""Where folders that were saved before look for `AdaptorModule`."""

from adaptors.modules.st_module import AdaptorModule

__all__ = ["AdaptorModule"]
