"""The board's side of monitoring, packed as the zipapp `serve.pyz`: Python 3.8, NumPy, Pillow and a runtime alone."""
