"""How long a run will take, from a first short call of each engine on this machine."""

SINGLES = 40  # steps of one sample,
FULL = 1024  # and one step of so many, in the short calls
