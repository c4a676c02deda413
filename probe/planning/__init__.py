"""Operations, hours and bytes of a run, before it runs."""
