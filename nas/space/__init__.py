from nas.space import blocks as blocks  # the kinds of block make themselves known
