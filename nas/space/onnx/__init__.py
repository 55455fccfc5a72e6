"""An ONNX model, walked through as it would run: each file is one idea, `walk` is where they meet."""
