"""Which layers an accelerator's compiler maps: one TOML file a target, and what follows for a network and a space."""
