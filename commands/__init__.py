"""The commands: parse, call one function, print its result."""

__all__: list[str] = []
