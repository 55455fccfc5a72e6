"""How well estimators rank networks whose accuracy is known: `nas bench estimators`."""
