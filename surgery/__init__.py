"""Change encoders: cut, keep, fuse and save them (none of it in this release)."""

__all__: list[str] = []
