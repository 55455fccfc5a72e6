"""The board's agent, which a bundle carries as one file, agent.pyz: it imports nothing of nas."""
