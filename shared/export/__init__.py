"""What leaves the project: networks as ONNX and TorchScript with their calibration, and bundles as packages."""
