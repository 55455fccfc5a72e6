"""Programs that a deployment folder carries beside the model: Python 3.8 or later, each a file of its own."""
